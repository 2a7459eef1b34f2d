//! How many operations a training step asks of a GPU: each takes time beside its arithmetic. No GPU is needed to count them.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use looped_blocks as _;
use looped_core::{LoopPlan, ModelConfig, ModelDims, Objective, Prompts, Rng};
use looped_cuda::{Math, PromptShape, Step, plan};

/// The operations of the study's step at width 256: 64 prompts of 41 points, 30 loops of which the last 20 carry gradient.
fn operations(block: &str, math: Math) -> usize {
    let dims = ModelDims { n_dims: 20, n_positions: 101, n_embd: 256, n_layer: 1 };
    let [block, injector] = [block, r#"{"type":"full"}"#];
    let config =
        ModelConfig::new(dims, serde_json::from_str(block).unwrap(), serde_json::from_str(injector).unwrap());
    let mut rng = Rng::stream(1, "prompts", 0);
    let prompts = Prompts::pairs(rng.normals(64 * 41 * 20), rng.normals(64 * 41), [64, 41, 20]);
    let loops = LoopPlan { loops: 30, window: 20 };
    let step = Step { plan: loops, loss_loops: 20, objective: Objective::SquaredError, math };
    let (counts, _) = plan(&config.graph().unwrap(), &prompts, step).unwrap();
    counts.values().sum()
}

/// `docs/gpu.md` says these numbers.
#[test]
fn a_step_takes_as_many_operations_as_the_page_says() {
    for (block, f32, bf16) in
        [(r#"{"type":"transformer","n_head":8}"#, 495, 500), (r#"{"type":"lstm"}"#, 8606, 8687)]
    {
        let found = [Math::F32, Math::Tf32, Math::Bf16].map(|math| operations(block, math));
        assert_eq!(found, [f32, f32, bf16], "{block}");
    }
}

/// What `--device auto` goes by isn't put together for all loops, but counts them all.
#[test]
fn operations_of_many_loops_are_counted_from_a_few() {
    let dims = ModelDims { n_dims: 3, n_positions: 11, n_embd: 16, n_layer: 1 };
    for block in [
        r#"{"type":"transformer","n_head":2}"#,
        r#"{"type":"lstm"}"#,
        r#"{"type":"transformer","n_head":2,"lora":{"rank":2,"loops":4,"beyond":"interpolate"}}"#,
    ] {
        for injector in [r#"{"type":"full"}"#, r#"{"type":"last_n","n":3}"#] {
            let [block, injector] = [block, injector].map(|json| json.to_owned());
            let config = ModelConfig::new(
                dims,
                serde_json::from_str(&block).unwrap(),
                serde_json::from_str(&injector).unwrap(),
            );
            let (graph, layout) = (config.graph().unwrap(), config.layout());
            let shape = PromptShape { prompts: 2, layout, points: 5 };
            for (loops, window, loss_loops) in
                [(1, 1, 1), (30, 20, 20), (30, 20, 6), (50, 1, 1), (9, 12, 2), (5, 4, 2), (40, 12, 1)]
            {
                let plan = LoopPlan { loops, window };
                for math in [Math::F32, Math::Bf16] {
                    let step = Step { plan, loss_loops, objective: Objective::SquaredError, math };
                    let counted = shape.training(&graph, step).unwrap().operations;
                    assert_eq!(shape.operations(&graph, step).unwrap(), counted, "{block} {plan:?} {math:?}");
                }
            }
            // Millions of loops are a moment's work.
            let plan = LoopPlan { loops: 10_000_000, window: 20 };
            let step = Step { plan, loss_loops: 20, objective: Objective::SquaredError, math: Math::F32 };
            assert!(shape.operations(&graph, step).unwrap() > 20_000_000);
        }
    }
}
