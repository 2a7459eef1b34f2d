//! The commands of the pages, each with what it prints: written by `LOOPED_BLESS=1 cargo test -p cli --test docs`.

use snapbox::str;

/// What a command prints; snapbox finds the text's place in this file by the function.
pub(crate) type Expected = fn() -> snapbox::data::Inline;

/// Each command as it stands on a page, and what it prints.
pub(crate) const SHOWN: &[(&str, Expected)] = &[
    (
        "looped run experiments/quickstart_adam.toml training.threads=1 training.train_steps=61 training.log_every_steps=20 training.engine=candle",
        || {
            str![[r#"
runs/tiny
squared error / #, mean of # prompts, # % CI over prompts

examples model least_squares averaging knn_#
- - - - -
# # [#, #] # # #
# # [#, #] # # #
# # [#, #] # # #


"#]]
        },
    ),
    ("looped export runs/all-seed0 runs/all-seed1 --out metrics.parquet", || {
        str![[r#"
metrics.parquet

"#]]
    }),
    ("looped export runs/all-seed0 runs/all-seed1 --what evaluation --out errors.csv", || {
        str![[r#"
errors.csv

"#]]
    }),
    ("looped check EXP.toml", || {
        str![[r#"
name = "tiny"
seed = #

[task]
type = "linear_regression"

[model]
n_dims = #
n_positions = #
n_embd = #
n_layer = #

[model.block]
type = "transformer"
n_head = #

[model.injector]
type = "full"
operation = "add"

[training]
batch_size = #
learning_rate = #
weight_decay = #
train_steps = #
n_loop_window = #
engine = "auto"
precision = "f#"
log_every_steps = #
save_every_steps = #
keep_every_steps = #
validate_every_steps = #

[training.curriculum]
dims = { start = #, end = #, inc = #, interval = # }
points = { start = #, end = #, inc = #, interval = # }
loops = { start = #, end = #, inc = #, interval = # }

[evaluation]
prompts = #
seed = #
baselines = [{ type = "least_squares" }, { type = "averaging" }, { type = "knn", k = # }]

# parameters: #, of which the backbone has # M; and # of positions
# FLOPs of the whole training: #
# peak memory, estimated: # MB
# engine: fused

"#]]
    }),
    ("looped list injectors last_n", || {
        str![[r#"
Only the last n tokens keep their state; the others start every loop from the embedded prompt alone.

type = "last_n"
n: Tokens that keep their state; -#, or at least as many as there are, keeps all. (an integer, at
least -#; must be given)
operation: How the state and the prompt meet. ("add" or "multiply"; "add" if not given)

"#]]
    }),
    ("looped sweep quickstart.toml 'model.n_layer=[1, 2]' --seeds 0..2 --out runs/layers --dry-run", || {
        str![[r#"
variant parameters FLOPs a run memory a run
- - - -
n_layer=# # # # MB
n_layer=# # # # MB

# runs: #, each variant with # seeds
# FLOPs of all runs: #

"#]]
    }),
    ("looped sweep quickstart.toml 'model.n_layer=[1, 2]' --seeds 0..2 --out runs/layers --jobs 2", || {
        str![[r#"
runs/layers/report/report.html
Each variant's error divided by that of n_layer=#, geometric mean over the seeds they share, with its # % CI over seeds and prompts, paired by both. The verdict counts errors within a factor of # as equal; p is of a difference, by Holm's correction for the whole table. "Undecided" is not "no difference".

variant seeds # examples: × n_layer=# verdict # examples: × n_layer=# verdict
- - - - - -
n_layer=# # # [#, #] VERDICT (p #) # [#, #] VERDICT (p #)

At the spread seen here with # examples, to show a true ratio in four sweeps of five: # takes # seeds, # takes # seeds, # takes # seeds.

squared error / #, geometric mean over the seeds, with its # % CI over seeds and prompts; of baselines, over prompts.

variant seeds # examples # examples
- - - -
n_layer=# # # [#, #] # [#, #]
n_layer=# # # [#, #] # [#, #]
least squares # [#, #] # [#, #]
averaging # [#, #] # [#, #]
knn # # [#, #] # [#, #]

variant parameters training FLOPs × n_layer=# CPU time × n_layer=#
- - - - - -
n_layer=# # # # #:#:# #
n_layer=# # # # #:#:# #

"#]]
    }),
    ("looped run EXP.toml --out RUN", || {
        str![[r#"
new
squared error / #, mean of # prompts, # % CI over prompts

examples model least_squares averaging knn_#
- - - - -
# # [#, #] # # #
# # [#, #] # # #
# # [#, #] # # #


"#]]
    }),
    ("looped run RUN/config.toml", || {
        str![[r#"
runs/tiny
squared error / #, mean of # prompts, # % CI over prompts

examples model least_squares averaging knn_#
- - - - -
# # [#, #] # # #
# # [#, #] # # #
# # [#, #] # # #


"#]]
    }),
    ("looped eval RUN --save NAME", || {
        str![[r#"
squared error / #, mean of # prompts, # % CI over prompts

examples model least_squares averaging knn_#
- - - - -
# # [#, #] # # #
# # [#, #] # # #
# # [#, #] # # #

converged: the mean stays within # % of its value after loop #

examples converged at loop
- -
# #
# #
# #

state: |Z_l - Z_(l-#)| / |Z_(l-#)|, mean of # prompts

loop state moves by
- -
# # [#, #]
# # [#, #]


"#]]
    }),
    ("looped eval RUN --suite ood --save", || {
        str![[r#"
squared error / #, mean of # prompts after # loops, # % CI over prompts

prompts examples model least_squares averaging knn_#
- - - - - -
as in training # # [#, #] # # #
random_quadrants # # [#, #] # # #
opposite_quadrants # # [#, #] # # #
orthogonal_query # # [#, #] # # #
repeated_query # # [#, #] # # #
half_subspace # # [#, #] # # #
skewed_covariance # # [#, #] # # #
scaled_inputs_# # # [#, #] # # #
scaled_inputs_# # # [#, #] # # #
scaled_inputs_# # # [#, #] # # #
scaled_inputs_# # # [#, #] # # #
scaled_outputs_# # # [#, #] # # #
scaled_outputs_# # # [#, #] # # #
scaled_outputs_# # # [#, #] # # #
scaled_outputs_# # # [#, #] # # #
label_noise_# # # [#, #] # # #


"#]]
    }),
    ("looped probe RUN --save", || {
        str![[r#"
squared error of reading / variance, mean of # prompts, # % CI over prompts

loop X^T y untrained shuffled least-squares weights untrained shuffled
- - - - - - -
# # [#, #] # # # [#, #] # #
# # [#, #] # # # [#, #] # #
# # [#, #] # # # [#, #] # #
# # [#, #] # # # [#, #] # #


"#]]
    }),
    (
        r#"looped compare runs/all-seed* runs/last20-seed* --against "all tokens" --margin 1.1 --out runs/last20_against_all"#,
        || {
            str![[r#"
runs/last#against_all/report.html
Each variant's error divided by that of all tokens, geometric mean over the seeds they share, with its # % CI over seeds and prompts, paired by both. The verdict counts errors within a factor of # as equal; p is of a difference, by Holm's correction for the whole table. "Undecided" is not "no difference".

variant seeds # examples: × all tokens verdict # examples: × all tokens verdict
- - - - - -
last # # # [#, #] VERDICT (p #) # [#, #] VERDICT (p #)

At the spread seen here with # examples, to show a true ratio in four sweeps of five: # takes # seeds, # takes # seeds, # takes # seeds.

squared error / #, geometric mean over the seeds, with its # % CI over seeds and prompts; of baselines, over prompts.

variant seeds # examples # examples
- - - -
all tokens # # [#, #] # [#, #]
last # # # [#, #] # [#, #]
least squares # [#, #] # [#, #]
averaging # [#, #] # [#, #]
knn # # [#, #] # [#, #]

variant parameters training FLOPs × all tokens CPU time × all tokens
- - - - - -
all tokens # # # #:#:# #
last # # # # #:#:# #

"#]]
        },
    ),
    ("looped eval RUN --prompts 12800 --save many", || {
        str![[r#"
squared error / #, mean of # prompts, # % CI over prompts

examples model least_squares averaging knn_#
- - - - -
# # [#, #] # # #
# # [#, #] # # #
# # [#, #] # # #

converged: the mean stays within # % of its value after loop #

examples converged at loop
- -
# #
# #
# #

state: |Z_l - Z_(l-#)| / |Z_(l-#)|, mean of # prompts

loop state moves by
- -
# # [#, #]
# # [#, #]


"#]]
    }),
    ("looped resume RUN training.train_steps=20000", || {
        str![[r#"
run
squared error / #, mean of # prompts, # % CI over prompts

examples model least_squares averaging knn_#
- - - - -
# # [#, #] # # #
# # [#, #] # # #
# # [#, #] # # #


"#]]
    }),
    ("looped run RUN/config.toml training.learning_rate=5e-4", || {
        str![[r#"
runs/tiny
squared error / #, mean of # prompts, # % CI over prompts

examples model least_squares averaging knn_#
- - - - -
# # [#, #] # # #
# # [#, #] # # #
# # [#, #] # # #


"#]]
    }),
    ("looped sweep ... --jobs 2 training.threads=1", || {
        str![[r#"
sw#/report/report.html
Each variant's error divided by that of n_layer=#, geometric mean over the seeds they share, with its # % CI over seeds and prompts, paired by both. The verdict counts errors within a factor of # as equal; p is of a difference, by Holm's correction for the whole table. "Undecided" is not "no difference".

variant seeds # examples: × n_layer=# verdict # examples: × n_layer=# verdict
- - - - - -
n_layer=# # # [#, #] VERDICT (p #) # [#, #] VERDICT (p #)

At the spread seen here with # examples, to show a true ratio in four sweeps of five: # takes # seeds, # takes # seeds, # takes # seeds.

squared error / #, geometric mean over the seeds, with its # % CI over seeds and prompts; of baselines, over prompts.

variant seeds # examples # examples
- - - -
n_layer=# # # [#, #] # [#, #]
n_layer=# # # [#, #] # [#, #]
least squares # [#, #] # [#, #]
averaging # [#, #] # [#, #]
knn # # [#, #] # [#, #]

variant parameters training FLOPs × n_layer=# CPU time × n_layer=#
- - - - - -
n_layer=# # # # #:#:# #
n_layer=# # # # #:#:# #

"#]]
    }),
    ("looped resume RUN", || {
        str![[r#"
run

"#]]
    }),
    ("looped run EXP.toml [key=value ...]", || {
        str![[r#"
runs/tiny
squared error / #, mean of # prompts, # % CI over prompts

examples model least_squares averaging knn_#
- - - - -
# # [#, #] # # #
# # [#, #] # # #
# # [#, #] # # #


"#]]
    }),
    ("looped resume RUN [training.train_steps=N]", || {
        str![[r#"
run

"#]]
    }),
    ("looped sweep SWEEP.toml --out DIR --jobs 2", || {
        str![[r#"
out/report/report.html
Each variant's error divided by that of n_layer=#, geometric mean over the seeds they share, with its # % CI over seeds and prompts, paired by both. The verdict counts errors within a factor of # as equal; p is of a difference, by Holm's correction for the whole table. "Undecided" is not "no difference".

variant seeds # examples: × n_layer=# verdict # examples: × n_layer=# verdict
- - - - - -
n_layer=# # # [#, #] VERDICT (p #) # [#, #] VERDICT (p #)

At the spread seen here with # examples, to show a true ratio in four sweeps of five: # takes # seeds, # takes # seeds, # takes # seeds.

squared error / #, geometric mean over the seeds, with its # % CI over seeds and prompts; of baselines, over prompts.

variant seeds # examples # examples
- - - -
n_layer=# # # [#, #] # [#, #]
n_layer=# # # [#, #] # [#, #]
least squares # [#, #] # [#, #]
averaging # [#, #] # [#, #]
knn # # [#, #] # [#, #]

variant parameters training FLOPs × n_layer=# CPU time × n_layer=#
- - - - - -
n_layer=# # # # #:#:# #
n_layer=# # # # #:#:# #

"#]]
    }),
    ("looped compare RUN... --out DIR", || {
        str![[r#"
out/report.html
Each variant's error divided by that of tiny, geometric mean over the seeds they share, with its # % CI over seeds and prompts, paired by both; with one seed it is over prompts alone, and no verdict is given. The verdict counts errors within a factor of # as equal; p is of a difference, by Holm's correction for the whole table. "Undecided" is not "no difference".

variant seeds # examples: × tiny verdict # examples: × tiny verdict
- - - - - -
other # # [#, #] undecided # [#, #] undecided

squared error / #, mean over the prompts, with its # % CI over prompts; of baselines, over prompts.

variant seeds # examples # examples
- - - -
tiny # # [#, #] # [#, #]
other # # [#, #] # [#, #]
least squares # [#, #] # [#, #]
averaging # [#, #] # [#, #]
knn # # [#, #] # [#, #]

variant parameters training FLOPs × tiny CPU time × tiny
- - - - - -
tiny # # # #:#:# #
other # # # #:#:# #

"#]]
    }),
    ("looped eval RUN --loops 100", || {
        str![[r#"
squared error / #, mean of # prompts, # % CI over prompts

examples model least_squares averaging knn_#
- - - - -
# # [#, #] # # #
# # [#, #] # # #
# # [#, #] # # #

converged: the mean stays within # % of its value after loop #

examples converged at loop
- -
# #
# #
# #

state: |Z_l - Z_(l-#)| / |Z_(l-#)|, mean of # prompts

loop state moves by
- -
# # [#, #]
# # [#, #]
# # [#, #]
# # [#, #]
# # [#, #]
# # [#, #]
# # [#, #]


"#]]
    }),
    ("looped stability RUN", || {
        str![[r#"
The state settles: the last step is less than # of the state. Of # prompts over # loops (# trained): settles # %, drifts # %, cycles # %, diverges # %. The median last step is # of the state.

mean, median and #th percentile over the tokens of # prompts

loop step / state cosine of steps acceleration distance to the last
- - - - -
# –, –, – –, –, – –, –, – #, #, #
# #, #, # –, –, – –, –, – #, #, #
# #, #, # #, #, # #, #, # #, #, #
# #, #, # #, #, # #, #, # #, #, #
# #, #, # #, #, # #, #, # #, #, #
# #, #, # #, #, # #, #, # #, #, #
# #, #, # #, #, # #, #, # #, #, #

Jacobian: mean, median and #th percentile over # prompts; exponents per loop, over the loops # to #; the rest with its # % CI over prompts

at the end
- -
spectral radius of the loop's Jacobian #, #, #
its change in the last round #, #, #
Frobenius norm of the Jacobian #, #, #
Lyapunov exponent # -#, -#, -#
Lyapunov exponent # -#, -#, -#
Lyapunov exponent # -#, -#, -#
Lyapunov exponent # -#, -#, -#
alignment from another prompt's state # [#, #]
alignment from noise # [#, #]
control: cosine with another prompt # [#, #]
squared error / # after the best loop, # # [#, #]
after the trained loops, # # [#, #]
after the last loop, # # [#, #]
the last divided by the best # [#, #]


"#]]
    }),
    ("looped stability RUN --save NAME", || {
        str![[r#"
The state settles: the last step is less than # of the state. Of # prompts over # loops (# trained): settles # %, drifts # %, cycles # %, diverges # %. The median last step is # of the state.

mean, median and #th percentile over the tokens of # prompts

loop step / state cosine of steps acceleration distance to the last
- - - - -
# –, –, – –, –, – –, –, – #, #, #
# #, #, # –, –, – –, –, – #, #, #
# #, #, # #, #, # #, #, # #, #, #
# #, #, # #, #, # #, #, # #, #, #
# #, #, # #, #, # #, #, # #, #, #
# #, #, # #, #, # #, #, # #, #, #
# #, #, # #, #, # #, #, # #, #, #

Jacobian: mean, median and #th percentile over # prompts; exponents per loop, over the loops # to #; the rest with its # % CI over prompts

at the end
- -
spectral radius of the loop's Jacobian #, #, #
its change in the last round #, #, #
Frobenius norm of the Jacobian #, #, #
Lyapunov exponent # -#, -#, -#
Lyapunov exponent # -#, -#, -#
Lyapunov exponent # -#, -#, -#
Lyapunov exponent # -#, -#, -#
alignment from another prompt's state # [#, #]
alignment from noise # [#, #]
control: cosine with another prompt # [#, #]
squared error / # after the best loop, # # [#, #]
after the trained loops, # # [#, #]
after the last loop, # # [#, #]
the last divided by the best # [#, #]


"#]]
    }),
    ("looped exits RUN", || {
        str![[r#"
Rules applied after training, on # prompts of # points and # loops (# trained); the answer is the prediction at the last query. Prediction: how much it has changed in a loop, relative to the size of y. State: |Z_l - Z_(l-#)| / |Z_l| over all tokens. Acceleration: the same of the change of the step, in two loops in a row. Context: the root mean squared residual of the prompt's own examples, each predicted from the others, relative to the size of y. A rule stops at the first loop at which its number is below a threshold, and else after the last.

squared error / #, mean of # prompts, # % CI over prompts; first at the threshold #, for which part of the prompts it fires before the last loop; then at the one at which it takes nearest to half of the loops, beside the same exits dealt out at random

rule fires mean loops error half way: threshold mean loops error at random
- - - - - - - -
prediction # % # # [#, #] # # # [#, #] #
state # % # # [#, #] # # # [#, #] #
acceleration # % # # [#, #] # # # [#, #] #
context # % # # [#, #] # # # [#, #] #

acceleration never fires at # before the last loop; it never could: its number is there after the last loop at the earliest

context never fires at # before the last loop; for some prompt it is below #

without a rule mean loops error
- - -
oracle: the best loop of each prompt # # [#, #]
all after half of the loops # # [#, #]
all after the trained loops # # [#, #]
all after the last loop # # [#, #]


"#]]
    }),
    ("looped exits RUN --save NAME", || {
        str![[r#"
Rules applied after training, on # prompts of # points and # loops (# trained); the answer is the prediction at the last query. Prediction: how much it has changed in a loop, relative to the size of y. State: |Z_l - Z_(l-#)| / |Z_l| over all tokens. Acceleration: the same of the change of the step, in two loops in a row. Context: the root mean squared residual of the prompt's own examples, each predicted from the others, relative to the size of y. A rule stops at the first loop at which its number is below a threshold, and else after the last.

squared error / #, mean of # prompts, # % CI over prompts; first at the threshold #, for which part of the prompts it fires before the last loop; then at the one at which it takes nearest to half of the loops, beside the same exits dealt out at random

rule fires mean loops error half way: threshold mean loops error at random
- - - - - - - -
prediction # % # # [#, #] # # # [#, #] #
state # % # # [#, #] # # # [#, #] #
acceleration # % # # [#, #] # # # [#, #] #
context # % # # [#, #] # # # [#, #] #

acceleration never fires at # before the last loop; it never could: its number is there after the last loop at the earliest

context never fires at # before the last loop; for some prompt it is below #

without a rule mean loops error
- - -
oracle: the best loop of each prompt # # [#, #]
all after half of the loops # # [#, #]
all after the trained loops # # [#, #]
all after the last loop # # [#, #]


"#]]
    }),
    ("looped match RUN", || {
        str![[r#"
The model after each loop beside iterative solvers of least squares after each step, on # prompts of # points; each query from the points before it. SimE is the cosine of the residuals over the points of a prompt. SimW is the cosine of the weights after # examples; the model's are the least squares of its predictions at # fresh queries. The median condition number of X^T X is # gd has the step #/(smallest + largest eigenvalue) of each problem, gd_safe #/largest, gd_single # for all.

# % CI over prompts; in brackets the part of the resamples in which that solver is the closest. "linear": the part of the predictions that is linear in the query

loop error closest by SimE step SimE closest by SimW step SimW linear
- - - - - - - - -
...

best step by SimE, # % CI over prompts

loop gd gd safe gd single gd preconditioned heavy ball chebyshev cg newton schulz
- - - - - - - - -
...

best step by SimW, # % CI over prompts

loop gd gd safe gd single gd preconditioned heavy ball chebyshev cg newton schulz
- - - - - - - - -
...



"#]]
    }),
    ("looped match RUN --save NAME", || {
        str![[r#"
The model after each loop beside iterative solvers of least squares after each step, on # prompts of # points; each query from the points before it. SimE is the cosine of the residuals over the points of a prompt. SimW is the cosine of the weights after # examples; the model's are the least squares of its predictions at # fresh queries. The median condition number of X^T X is # gd has the step #/(smallest + largest eigenvalue) of each problem, gd_safe #/largest, gd_single # for all.

# % CI over prompts; in brackets the part of the resamples in which that solver is the closest. "linear": the part of the predictions that is linear in the query

loop error closest by SimE step SimE closest by SimW step SimW linear
- - - - - - - - -
...

best step by SimE, # % CI over prompts

loop gd gd safe gd single gd preconditioned heavy ball chebyshev cg newton schulz
- - - - - - - - -
...

best step by SimW, # % CI over prompts

loop gd gd safe gd single gd preconditioned heavy ball chebyshev cg newton schulz
- - - - - - - - -
...



"#]]
    }),
    ("looped probe RUN", || {
        str![[r#"
squared error of reading / variance, mean of # prompts, # % CI over prompts

loop X^T y untrained shuffled least-squares weights untrained shuffled
- - - - - - -
# # [#, #] # # # [#, #] # #
# # [#, #] # # # [#, #] # #
# # [#, #] # # # [#, #] # #
# # [#, #] # # # [#, #] # #


"#]]
    }),
    ("looped new block my_block", || {
        str![[r#"
my_block

"#]]
    }),
    ("looped new KIND NAME", || {
        str![[r#"
long

"#]]
    }),
];
