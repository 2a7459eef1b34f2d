//! Models and prompts to run the engines on.

use looped_blocks as _;
use looped_core::{
    Embed, Head, LoopPlan, ModelConfig, ModelDims, Noise, Objective, Prompts, Rng, TokenLayout,
};
use proptest::prelude::*;

#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) n_dims: usize,
    pub(crate) n_embd: usize,
    pub(crate) n_layer: usize,
    pub(crate) block: String,
    pub(crate) injector: String,
    pub(crate) prompts: usize,
    pub(crate) points: usize,
    pub(crate) plan: LoopPlan,
    pub(crate) loss_loops: usize,
    pub(crate) objective: Objective,
    /// Of a task of tokens: its vocabulary's and its classes' numbers.
    pub(crate) alphabet: Option<[usize; 2]>,
    pub(crate) threads: usize,
    pub(crate) seed: u64,
}

impl Case {
    pub(crate) fn small(block: &str, injector: &str) -> Self {
        Self {
            n_dims: 3,
            n_embd: 12,
            n_layer: 2,
            block: block.to_owned(),
            injector: injector.to_owned(),
            prompts: 5,
            points: 4,
            plan: LoopPlan { loops: 4, window: 2 },
            loss_loops: 2,
            objective: Objective::SquaredError,
            alphabet: None,
            threads: 2,
            seed: 3,
        }
    }

    pub(crate) fn model(&self) -> ModelConfig {
        let config = ModelConfig::new(
            ModelDims {
                n_dims: self.n_dims,
                n_positions: self.points + 1,
                n_embd: self.n_embd,
                n_layer: self.n_layer,
            },
            serde_json::from_str(&self.block).unwrap(),
            serde_json::from_str(&self.injector).unwrap(),
        );
        let Some([size, count]) = self.alphabet else { return config };
        ModelConfig { n_dims: 1, embed: Embed::Vocabulary { size }, head: Head::Classes { count }, ..config }
    }

    /// y is -1 or 1 for the objective that asks for it. Of tokens, a third of the points have no target.
    pub(crate) fn data(&self) -> Prompts {
        let mut rng = Rng::stream(self.seed, "prompts", 0);
        let Self { prompts, points, n_dims, .. } = *self;
        if let Some([tokens, classes]) = self.alphabet {
            let mut below = |count: usize| (rng.uniform() * count as f64).floor() as f32;
            let xs = (0..prompts * points).map(|_| below(tokens)).collect();
            let target = |i| if i % 3 == 1 { f32::NAN } else { below(classes) };
            let ys = (0..prompts * points).map(target).collect();
            let (layout, noise) = (TokenLayout::Ids, Noise::default());
            return Prompts { xs, ys, shown: None, prompts, points, n_dims: 1, layout, noise };
        }
        let xs = rng.normals(prompts * points * n_dims);
        let ys = rng.normals(prompts * points).into_iter();
        let ys = match self.objective {
            Objective::SquaredError | Objective::Classes => ys.collect(),
            Objective::CrossEntropy => ys.map(f32::signum).collect(),
        };
        Prompts::pairs(xs, ys, [prompts, points, n_dims])
    }
}

/// A transformer whose heads divide `n_embd`, an LSTM, a state space, or two of them in a row.
fn blocks(n_embd: usize) -> impl Strategy<Value = String> {
    let heads: Vec<usize> = (1..=n_embd).filter(|heads| n_embd.is_multiple_of(*heads)).collect();
    let transformer = prop::sample::select(heads)
        .prop_map(|n_head| format!(r#"{{"type":"transformer","n_head":{n_head}}}"#));
    let lstm = r#"{"type":"lstm"}"#.to_owned();
    let ssm = (1usize..6).prop_map(|n_state| format!(r#"{{"type":"ssm","n_state":{n_state}}}"#));
    let leaf = prop_oneof![3 => transformer, 1 => Just(lstm), 2 => ssm];
    let list = prop::collection::vec(leaf.clone(), 1..3);
    let sequential =
        list.prop_map(|list| format!(r#"{{"type":"sequential","blocks":[{}]}}"#, list.join(",")));
    prop_oneof![3 => leaf, 1 => sequential]
}

fn injectors() -> impl Strategy<Value = String> {
    let operation = prop::sample::select(vec!["add", "multiply"]);
    let full = operation.clone().prop_map(|op| format!(r#"{{"type":"full","operation":"{op}"}}"#));
    let last = (-1..20, operation.clone())
        .prop_map(|(n, op)| format!(r#"{{"type":"last_n","n":{n},"operation":"{op}"}}"#));
    let first =
        (0..20, operation).prop_map(|(n, op)| format!(r#"{{"type":"first_n","n":{n},"operation":"{op}"}}"#));
    prop_oneof![2 => full, 3 => last, 2 => first, 1 => Just(r#"{"type":"none"}"#.to_owned())]
}

pub(crate) fn cases() -> impl Strategy<Value = Case> {
    // In 1 or 2 dimensions a norm leaves nothing but rounding errors of its input.
    let sizes = (1usize..6, 3usize..40, 1usize..4);
    let data = (1usize..7, 1usize..9, 1usize..4);
    let loops = (1usize..5, 1usize..6, 1usize..6);
    let points = prop::sample::select(vec![Objective::SquaredError, Objective::CrossEntropy]);
    let ends = prop_oneof![
        3 => points.prop_map(|objective| (objective, None)),
        1 => [2usize..6, 2..6].prop_map(|alphabet| (Objective::Classes, Some(alphabet))),
    ];
    (sizes, data, loops, ends, injectors(), any::<u64>()).prop_flat_map(
        |(
            (n_dims, n_embd, n_layer),
            (prompts, points, threads),
            (loops, window, loss_loops),
            (objective, alphabet),
            injector,
            seed,
        )| {
            blocks(n_embd).prop_map(move |block| Case {
                n_dims,
                n_embd,
                n_layer,
                block,
                injector: injector.clone(),
                prompts,
                points,
                plan: LoopPlan { loops, window },
                loss_loops,
                objective,
                alphabet,
                threads,
                seed,
            })
        },
    )
}
