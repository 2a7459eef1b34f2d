//! Every bad input has its message, word for word, and its place.

use looped_config::ConfigError;
use looped_core::{Kind, Part};

use crate::support::{Folder, GOOD, error_of, error_with};

fn tags(kind: Kind) -> String {
    Part::of(kind).iter().map(|part| part.tag).collect::<Vec<_>>().join(", ")
}

#[test]
fn keys() {
    assert_eq!(
        error_of(&["model.n_emb=3"]),
        "command line: model.n_emb: is unknown; did you mean n_embd? \
         Allowed: n_dims, n_positions, n_embd, n_layer, pretrained_path, block, injector, embed, head, exit_gate, prelude, coda, positions, loop_norm, first_state, relaxation"
    );
    assert_eq!(
        error_of(&["banana=3"]),
        "command line: banana: is unknown; allowed: name, seed, task, model, training, evaluation"
    );
    assert_eq!(
        error_of(&["model.block.n_heads=3"]),
        "command line: model.block.n_heads: is unknown; did you mean n_head? Allowed: type, n_head, causal, norm, residual_scale, lora"
    );
    assert_eq!(
        error_of(&["task.\"a b\"=3"]),
        r#"command line: "task.\"a b\"=3": has no valid key before the =; write a dotted path, as in model.block.n_head=4"#
    );
    let text = GOOD.replace("batch_size = 8", "").replace("n_head = 2", "\"bad key\" = 1");
    assert_eq!(
        Folder::with(&[("exp.toml", &text)]).error("exp.toml", &[]),
        "exp.toml:14:8: model.block.n_head: is missing; expected an integer, at least 1\n\
         exp.toml:16:1: model.block.\"bad key\": is unknown; allowed: type, n_head, causal, norm, residual_scale, lora\n\
         exp.toml:23:2: training.batch_size: is missing; expected an integer, 1 to 1000000"
    );
}

/// The names of other programs, names cut short, and keys of another table.
#[test]
fn keys_and_names_that_people_miss() {
    for (argument, meant) in [
        ("training.lr=1", "learning_rate"),
        ("training.steps=1", "train_steps"),
        ("training.batch=1", "batch_size"),
        ("training.learn_rate=1", "learning_rate"),
        ("training.grad_clip=1", "gradient_clip"),
        ("training.window=1", "n_loop_window"),
        ("training.log_every=1", "log_every_steps"),
        ("training.loops=1", "training.curriculum.loops"),
        ("model.n_heads=1", "model.block.n_head"),
        ("model.n_head=1", "model.block.n_head"),
        ("model.width=1", "n_embd"),
        ("model.operation=add", "model.injector.operation"),
        ("model.batch_size=1", "training.batch_size"),
        ("learning_rate=1", "training.learning_rate"),
        ("evaluation.n_prompts=1", "prompts"),
        ("task.type=noisy_linear", "noisy_linear_regression"),
        ("model.injector.type=last", "last_n"),
    ] {
        let message = error_of(&[argument]);
        assert!(message.contains(&format!("; did you mean {meant}? Allowed: ")), "{argument}: {message}");
    }
}

/// The list of allowed keys is long: it is told once.
#[test]
fn what_a_table_may_hold_is_told_once() {
    let message =
        error_of(&["training.lr=1", "training.momentum=0.9", "training.rotation=3", "training.steps=1"]);
    assert_eq!(message.matches("llowed: ").count(), 1, "{message}");
    assert_eq!(message.matches("did you mean").count(), 2, "{message}");
    assert_eq!(message.matches("is unknown").count(), 4, "{message}");
}

#[test]
fn a_sweep_file_is_no_experiment() {
    let folder = Folder::with(&[("sweep.toml", "base = \"a.toml\"\nseeds = [0, 1]\n")]);
    let path = folder.path().join("sweep.toml");
    assert_eq!(
        looped_config::load(&path, &[]).unwrap_err().to_string(),
        format!(
            "{0}: is a sweep file, not an experiment; run it by `looped sweep {0} --out DIR`, or check its runs by `looped check`",
            path.display()
        )
    );
}

#[test]
fn types_and_ranges() {
    let cases = [
        ("n_embd = \"wide\"", "model.n_embd: is \"wide\", expected an integer, 1 to 1000000"),
        ("n_embd = 1.5", "model.n_embd: is 1.5, expected an integer, 1 to 1000000"),
        ("n_embd = 64.0", "model.n_embd: is 64.0, expected an integer, 1 to 1000000; write 64"),
        ("n_embd = 0", "model.n_embd: is 0; allowed: 1 to 1000000"),
        ("n_embd = -3", "model.n_embd: is -3; allowed: 1 to 1000000"),
        ("n_embd = [1]", "model.n_embd: is a list, expected an integer, 1 to 1000000"),
        ("n_embd = 2020-01-01", "model.n_embd: is a date, expected an integer, 1 to 1000000"),
        ("seed = -1", "seed: is -1; allowed: at least 0"),
        ("name = 5", "name: is 5, expected text"),
        ("learning_rate = true", "training.learning_rate: is true, expected a number, above 0, at most 1000"),
        ("learning_rate = 0.0", "training.learning_rate: is 0; allowed: above 0, at most 1000"),
        ("learning_rate = nan", "training.learning_rate: is NaN; allowed: above 0, at most 1000"),
        ("learning_rate = inf", "training.learning_rate: is inf; allowed: above 0, at most 1000"),
        ("n = -2", "model.injector.n: is -2; allowed: at least -1"),
        (
            "operation = \"ad\"",
            "model.injector.operation: is \"ad\"; did you mean add? Allowed: add, multiply",
        ),
        ("operation = 1", "model.injector.operation: is 1, expected \"add\" or \"multiply\""),
        (
            "loops = true",
            "training.curriculum.loops: is true, expected an integer, at least 1, or a table with start, end",
        ),
        ("loops = 0", "training.curriculum.loops: is 0; allowed: at least 1"),
        (
            "loops = { start = 1, end = 2, inc = 1 }",
            "training.curriculum.loops: interval is missing: from 1 to 2 it must be said by how much the value rises (inc), \
             and every how many steps (interval)",
        ),
    ];
    for (line, message) in cases {
        let told = error_with(line);
        let (place, told) = told.split_once(": ").unwrap();
        assert_eq!(told, message, "{line}");
        // The value is what is wrong, but where a key is missing.
        let at = if message.contains("is missing; expected") { 1 } else { line.find("= ").unwrap() + 3 };
        assert!(place.starts_with("exp.toml:") && place.ends_with(&format!(":{at}")), "{line}: {place}");
    }
}

#[test]
fn parts() {
    assert_eq!(
        error_of(&["model.block={type=\"transfomer\"}"]),
        format!(
            "command line: model.block.type: is \"transfomer\", no known block; did you mean transformer? Allowed: {}",
            tags(Kind::Block)
        )
    );
    let cases: [(&[&str], &str); 7] = [
        (
            &["model.injector={n=3}"],
            "model.injector.type: is missing; it names an injector: concat, first_n, full, last_n, learned_gate, none, pattern",
        ),
        (
            &["model.injector=full"],
            "model.injector: is \"full\", expected a table that names an injector by its type: concat, first_n, full, last_n, learned_gate, none, pattern",
        ),
        (
            &["model.injector.type=3"],
            "model.injector.type: is 3, expected the name of an injector: concat, first_n, full, last_n, learned_gate, none, pattern",
        ),
        (&["model.injector.type=none", "model.injector.n=1"], "model.injector.n: is unknown; allowed: type"),
        (
            &["model.injector={type=\"last_n\"}"],
            "model.injector.n: is missing; expected an integer, at least -1",
        ),
        (
            &["model.block={type=\"sequential\",blocks=[]}"],
            "model.block.blocks: has 0 items; needed: at least 1",
        ),
        (
            &[
                "model.block={type=\"sequential\",blocks=[{type=\"lstm\"},{type=\"transformer\",n_heads=1,n_head=0}]}",
            ],
            "model.block.blocks.1.n_head: is 0; allowed: at least 1\n\
             command line: model.block.blocks.1.n_heads: is unknown; did you mean n_head? Allowed: type, n_head, causal, norm, residual_scale, lora",
        ),
    ];
    for (overrides, message) in cases {
        assert_eq!(error_of(overrides), format!("command line: {message}"), "{overrides:?}");
    }
    assert_eq!(
        error_of(&["evaluation.baselines=[{type=\"knn\",k=0}]"]),
        "command line: evaluation.baselines.0.k: is 0; allowed: 1 to 1000000"
    );
}

/// Their curves could not be told apart, which an evaluation would find out when the training is over.
#[test]
fn two_baselines_of_one_name_are_refused() {
    let boosting = |rates: [f64; 2]| {
        let each = rates.map(|rate| format!("{{type=\"boosting\",trees=2,learning_rate={rate}}}"));
        format!("evaluation.baselines=[{}]", each.join(", "))
    };
    assert_eq!(
        error_of(&[&boosting([0.1, 0.1])]),
        "command line: evaluation.baselines.1: is called boosting_2_rate_0.1, as another curve is; change a setting, or \
         leave one out"
    );
    let folder = Folder::with(&[("exp.toml", GOOD)]);
    let told_apart = folder.load("exp.toml", &[&boosting([0.1, 0.3])]).unwrap().experiment.evaluation;
    let names: Vec<String> = told_apart.baselines.iter().map(|baseline| baseline.name()).collect();
    assert_eq!(names, ["boosting_2_rate_0.1", "boosting_2"]);
}

/// A plugin's keys are judged as our own are, even if its author let serde swallow unknown ones.
#[test]
fn keys_of_a_plugin() {
    let of = |keys: &str| error_of(&[&format!("model.block={{type=\"toy\",{keys}}}")]);
    let cases = [
        ("width=1,high=2", "high: is unknown; allowed: type, width, mode, inner, pair, weights"),
        ("width=256", "width: is 256; allowed: 0 to 255"),
        ("width=1,mode=\"slw\"", "mode: is \"slw\"; did you mean slow? Allowed: fast, slow"),
        ("width=1,inner=1", "inner: is 1, expected a table with rate"),
        ("width=1,inner={rat=0.5}", "inner.rat: is unknown; did you mean rate? Allowed: rate"),
        ("width=1,pair=[1]", "pair: has 1 items; needed: at least 2"),
        ("width=1,pair=[1,true]", "pair.1: is true, expected a number"),
        ("width=1,weights={any=\"x\"}", "weights.any: is \"x\", expected a number"),
    ];
    for (keys, message) in cases {
        let lines: Vec<String> =
            of(keys).lines().filter(|line| !line.contains("missing")).map(str::to_owned).collect();
        assert_eq!(lines, [format!("command line: model.block.{message}")], "{keys}");
    }
    // In a hurry it forgets its input.
    let why = "the state after a loop doesn't depend on the state before it";
    let forgetful = ["model.block={type=\"toy\",width=1,mode=\"fast\"}"];
    assert_eq!(
        error_of(&[&forgetful[..], &["training.engine=fused"]].concat()),
        format!(
            "command line: training.engine: is \"fused\", which can't take this model: {why}; allowed: auto, candle"
        )
    );
    assert_eq!(
        error_of(&[&forgetful[..], &["training.precision=bf16"]].concat()),
        format!(
            "command line: training.precision: is \"bf16\", which only the fused engine has, and it can't take this model: {why}; \
             allowed: f32, tf32 on a CUDA device"
        )
    );
}

/// The tagged tables of a part's own are told apart by their tag.
#[test]
fn tagged_tables_inside_a_part() {
    let task = "task={type=\"shifted\",base={type=\"linear_regression\"},distribution=";
    assert_eq!(
        error_of(&[&format!("{task}{{type=\"scaled_inptus\",factor=2}}}}")])
            .split(" Allowed")
            .next()
            .unwrap(),
        "command line: task.distribution.type: is \"scaled_inptus\"; did you mean scaled_inputs?"
    );
    assert_eq!(
        error_of(&[&format!("{task}{{type=\"scaled_inputs\",factor=0}}}}")]),
        "command line: task.distribution.factor: is 0; allowed: 1e-6 to 1000000"
    );
}

#[test]
fn what_keys_mean_together() {
    let cases: [(&[&str], &str); 12] = [
        (
            &["model.block.n_head=3"],
            "model.block.n_head: is 3, which does not divide n_embd = 16; allowed: 1, 2, 4, 8, 16",
        ),
        (
            &["training.curriculum.points.end=12"],
            "training.curriculum.points.end: is 12; allowed: 1 to model.n_positions, 11",
        ),
        (
            &["training.curriculum.dims.end=5"],
            "training.curriculum.dims.end: is 5; allowed: 1 to model.n_dims, 4",
        ),
        (
            &["training.curriculum.loops.end=1000000000000"],
            "training.curriculum.loops.end: is 1000000000000; allowed: 1 to 1000000",
        ),
        (&["training.curriculum.loops.start=7"], "training.curriculum.loops.start: is 7, more than end, 6"),
        (
            &["training.n_loop_window=7"],
            "training.n_loop_window: is 7; allowed: 1 to training.curriculum.loops.end, 6",
        ),
        (&["training.n_loss_loops=4"], "training.n_loss_loops: is 4; allowed: 1 to n_loop_window, 3"),
        (
            &["training.n_loss_queries=12"],
            "training.n_loss_queries: is 12; allowed: 1 to training.curriculum.points.end, 11",
        ),
        (
            &["name=a/b"],
            "name: is \"a/b\"; it names the run's folder: 1 to 100 bytes, no / \\ < > : \" | ? *, no - at the start, no . at the end",
        ),
        (
            &["training.engine=candle", "training.precision=bf16"],
            "training.precision: is \"bf16\", which only the fused engine has; with engine = \"candle\" allowed: f32, tf32 on a CUDA device",
        ),
        (
            &["training.engine=fused", "training.precision=tf32"],
            "training.precision: is \"tf32\", which only the candle engine has; with engine = \"fused\" allowed: f32, bf16",
        ),
        (
            &["task={type=\"sparse_linear_regression\",sparsity=9}"],
            "task.sparsity: is 9; allowed: 1 to model.n_dims, 4",
        ),
    ];
    for (overrides, message) in cases {
        assert_eq!(error_of(overrides), format!("command line: {message}"), "{overrides:?}");
    }
}

/// One look fixes it all: each line names the file to change.
#[test]
fn problems_are_told_together_and_where_they_are() {
    let folder = Folder::with(&[
        ("base.toml", &GOOD.replace("n_layer = 1", "n_layer = 0")),
        (
            "exp.toml",
            "extends = \"base.toml\"\nname = \"x\"\n[training]\nbatch_size = \"many\"\n[evaluation]\nprompt = 3",
        ),
    ]);
    assert_eq!(
        folder.error("exp.toml", &["seed=x"]),
        "command line: seed: is \"x\", expected an integer, at least 0\n\
         base.toml:12:11: model.n_layer: is 0; allowed: 1 to 10000\n\
         exp.toml:4:14: training.batch_size: is \"many\", expected an integer, 1 to 1000000\n\
         exp.toml:6:1: evaluation.prompt: is unknown; did you mean prompts? Allowed: prompts, loops, seed, baselines"
    );
}

#[test]
fn files() {
    let folder = Folder::with(&[
        ("syntax.toml", "name = \"x\"\nseed == 3\n"),
        ("twice.toml", "name = \"x\"\n[task]\n[task]\n"),
        ("syntax.json", "{\"name\": }"),
        ("syntax.yaml", "a: [1\nb: 2"),
        ("list.yaml", "- 1"),
        ("notes.txt", ""),
        ("bare", ""),
        ("lost.toml", "extends = \"nowhere.toml\""),
        ("odd.toml", "extends = 3"),
        ("a.toml", "extends = \"b.toml\""),
        ("b.toml", "extends = \"./a.toml\""),
    ]);
    std::fs::write(folder.path().join("latin.toml"), b"name = \"\xe9\"").unwrap();
    std::fs::write(folder.path().join("huge.toml"), vec![b' '; (1 << 20) + 1]).unwrap();
    let cases = [
        ("none.toml", "none.toml: cannot be read: No such file or directory (os error 2)"),
        ("notes.txt", "notes.txt: has the extension .txt; expected .toml, .yaml, .yml or .json"),
        ("bare", "bare: has no extension; expected .toml, .yaml, .yml or .json"),
        ("syntax.json", "syntax.json:1:10: expected value"),
        ("list.yaml", "list.yaml: holds no keys; expected name, task, model, training, ..."),
        (
            "lost.toml",
            "lost.toml: extends: nowhere.toml cannot be read: No such file or directory (os error 2)",
        ),
        ("odd.toml", "odd.toml: extends: is 3, expected the path of a file"),
        ("a.toml", "b.toml: extends: is circular: a.toml -> b.toml -> ./a.toml"),
        ("latin.toml", "latin.toml: is not UTF-8 text: bad byte at 8"),
        ("huge.toml", "huge.toml: is larger than 1024 KiB, which no experiment file is"),
    ];
    for (file, message) in cases {
        assert_eq!(folder.error(file, &[]), message);
    }
    assert!(folder.error("syntax.toml", &[]).starts_with("syntax.toml:2:7: "));
    assert!(folder.error("twice.toml", &[]).starts_with("twice.toml:3:2: "));
    assert!(folder.error("syntax.yaml", &[]).starts_with("syntax.yaml:2:"));
}

/// A finding with its place, as an editor or a terminal shows it.
fn places(name: &str, text: &str, overrides: &[&str]) -> Vec<(String, usize, usize, String)> {
    let folder = Folder::with(&[(name, text)]);
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    let error = looped_config::load(folder.path().join(name), &overrides).unwrap_err();
    let ConfigError::Invalid(findings) = error else { panic!("{error}") };
    let place = |finding: looped_config::Finding| {
        let place = finding.place.unwrap_or_else(|| panic!("{} has no place", finding.path));
        let from = place.text.chars().skip(place.column - 1);
        (finding.path, place.line, place.column, from.take(place.length).collect())
    };
    findings.into_iter().map(place).collect()
}

/// Keys, values, missing keys, items of lists, headers and dotted keys, inline tables: what is meant is marked.
#[test]
fn a_finding_points_at_what_is_meant() {
    let text = GOOD
        .replace("n_embd = 16", "n_emb = 16")
        .replace("n_head = 2", "n_head = [\n 1,\n]")
        .replace("start = 2, end = 4,", "start = 2, end = true,")
        .replace("batch_size = 8\n", "")
        + "\n[evaluation]\nbaselines = [\n  { type = \"knn\", k = 3 },\n  { type = \"knn\", k = 0 },\n]\n";
    let expected = [
        ("model.n_embd", 8, 2, "model"),
        ("model.n_emb", 11, 1, "n_emb"),
        ("model.block.n_head", 16, 10, "["),
        ("training.batch_size", 25, 2, "training"),
        ("training.curriculum.dims.end", 31, 27, "true"),
        ("evaluation.baselines.1.k", 38, 23, "0"),
    ];
    let mut found = places("exp.toml", &text, &[]);
    found.sort_by_key(|(_, line, ..)| *line);
    let found: Vec<_> = found
        .iter()
        .map(|(path, line, column, part)| (path.as_str(), *line, *column, part.as_str()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn a_finding_in_yaml_or_json_has_its_place_too() {
    let yaml = "name: 'ä'\nseed: many\nmodel:\n  n_embd: 0\n  n_heads: 2\n";
    let of = |found: &[(String, usize, usize, String)], path: &str| {
        let (_, line, column, part) = found.iter().find(|(key, ..)| key == path).unwrap().clone();
        (line, column, part)
    };
    let found = places("exp.yaml", yaml, &[]);
    assert_eq!(of(&found, "seed"), (2, 7, "many".to_owned()));
    assert_eq!(of(&found, "model.n_embd"), (4, 11, "0".to_owned()));
    assert_eq!(of(&found, "model.n_heads"), (5, 3, "n_heads".to_owned()));
    assert_eq!(of(&found, "model.n_layer"), (3, 1, "model".to_owned()));
    let json = "{\n\t\"name\": \"ä\", \"seed\": -1,\n\t\"model\": { \"n_embd\": 0 }\n}";
    let found = places("exp.json", json, &[]);
    assert_eq!(of(&found, "seed"), (2, 23, "-1".to_owned()));
    assert_eq!(of(&found, "model.n_embd"), (3, 23, "0".to_owned()));
}

#[test]
fn a_finding_of_an_override_shows_the_argument() {
    let found = places("exp.toml", GOOD, &["model.n_emb=3", "seed=x", "model.injector={type=\"last_n\"}"]);
    let expected =
        [("seed", 6, "x"), ("model.injector.n", 16, "{type=\"last_n\"}"), ("model.n_emb", 1, "model.n_emb")];
    let found: Vec<_> = found
        .iter()
        .map(|(path, line, column, part)| {
            assert_eq!(*line, 0);
            (path.as_str(), *column, part.as_str())
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn an_empty_file_names_what_it_lacks() {
    let folder = Folder::with(&[("exp.toml", "")]);
    let message = folder.error("exp.toml", &[]);
    let lines: Vec<&str> = message.lines().collect();
    assert_eq!(lines[0], "exp.toml:1:1: name: is missing; expected text");
    assert!(lines[1].starts_with(
        "exp.toml:1:1: task: is missing; expected a table that names a task by its type: dataset, "
    ));
    assert_eq!(
        lines[2..],
        [
            "exp.toml:1:1: model: is missing; expected a table with n_dims, n_positions, n_embd, n_layer, block, injector",
            "exp.toml:1:1: training: is missing; expected a table with batch_size, learning_rate, train_steps, n_loop_window, \
             curriculum",
        ]
    );
}
