//! Ways through the loops that are more than a window: what the reference engine finds on them.

use std::sync::Arc;

use looped_core::{
    ExitWeighted, FixedPoint, Implicit, Jacobian, LastLoops, LastLoss, LoopLoss, ModelConfig, ModelDims,
    Objective, Phantom, Prior, Prompts, RandomPrefix, Regularizer, Rng, Solver, StepLoops, UniformLoss,
    Unroll,
};
use looped_cuda::{CudaModel, Math};
use looped_reference::ReferenceModel;
use looped_testing::{by_name, noisy_parameters};

use super::fake;

const DIMS: ModelDims = ModelDims { n_dims: 3, n_positions: 6, n_embd: 8, n_layer: 1 };

fn step(
    [loops, window]: [usize; 2],
    unroll: impl Unroll + 'static,
    loss: impl LoopLoss + 'static,
    regularizers: &[Arc<dyn Regularizer>],
) -> StepLoops {
    StepLoops {
        loops,
        window,
        counted: None,
        unroll: Arc::new(unroll),
        loss: Arc::new(loss),
        regularizers: regularizers.to_vec(),
        rng: Rng::stream(5, "unroll", 1),
    }
}

/// All that is built in and isn't a window, and a window that is looked at.
fn ways() -> Vec<StepLoops> {
    let both: [Arc<dyn Regularizer>; 2] =
        [Arc::new(FixedPoint { weight: 0.3 }), Arc::new(Jacobian { weight: 0.5 })];
    let implicit = |solver| Implicit { solver, products: 6, tolerance: 1e-3 };
    let anderson = Solver::Anderson { memory: 3, damping: 1.0 };
    let phantom = Phantom { loops: 3, damping: 0.6 };
    vec![
        step([5, 3], phantom, UniformLoss {}, &[]),
        step([3, 3], phantom, LastLoss {}, &both),
        step([5, 1], implicit(Solver::Iteration), LastLoss {}, &[]),
        step([5, 1], implicit(anderson), LastLoss {}, &both),
        step([5, 3], LastLoops {}, UniformLoss {}, &both),
        step([5, 3], RandomPrefix {}, LastLoss {}, &both[..1]),
    ]
}

/// A model and five prompts of four points; the loss of its predictions may be weighted by a gate.
fn holds(block: &str, injector: &str, gate: bool, ways: &[StepLoops], math: Math, allowed: f64) {
    let gate = if gate { r#","exit_gate":{}"# } else { "" };
    let table = format!(
        r#"{{"n_dims":3,"n_positions":6,"n_embd":8,"n_layer":1,"block":{block},"injector":{injector}{gate}}}"#
    );
    let config: ModelConfig = serde_json::from_str(&table).unwrap();
    let graph = Arc::new(config.graph().unwrap());
    let mut rng = Rng::stream(7, "prompts", 0);
    let prompts = Prompts::pairs(rng.normals(5 * 4 * 3), rng.normals(5 * 4), [5, 4, 3]);
    let store = noisy_parameters(&graph, 3);
    let reference = ReferenceModel::new(Arc::clone(&graph)).unwrap();
    let cuda = CudaModel::new(graph, DIMS, 0).unwrap();
    for way in ways {
        let what = format!("{table} {way:?}");
        let run = || cuda.run(&store, &prompts, (Objective::SquaredError, math), way).unwrap();
        let (found, again) = (run(), run());
        let wanted = reference.run(&store, &prompts, Objective::SquaredError, way).unwrap();
        let bits = |of: &looped_core::Found| -> Vec<u32> {
            of.gradients.iter().map(|gradient| gradient.to_bits()).collect()
        };
        assert!(
            found.loss == again.loss && bits(&found) == bits(&again),
            "a replay gives other bits: {what}"
        );
        let near = |a: f64, b: f64, size: f64| (a - b).abs() <= allowed * size;
        assert!(near(found.loss, wanted.loss, wanted.loss.abs().max(0.1)), "{} {}", found.loss, wanted.loss);
        let (own, other) = (by_name(&found.gradients), by_name(&wanted.gradients));
        let largest = other.values().flatten().fold(0.0, |most: f64, value| most.max(value.abs()));
        for (name, values) in &other {
            for (i, (a, b)) in own[name].iter().zip(values).enumerate() {
                assert!(near(*a, *b, 5.0 * largest), "{name}[{i}] is {a}, expected {b}: {what}");
            }
        }
        assert!(found.notes.keys().eq(wanted.notes.keys()), "{what}");
        for (name, note) in &found.notes {
            let other = wanted.notes[name];
            assert!(near(*note, other, 50.0 * other.abs() + 0.1), "{name} {note} {other}: {what}");
        }
    }
}

const BLOCKS: [&str; 4] = [
    r#"{"type":"transformer","n_head":2}"#,
    r#"{"type":"lstm"}"#,
    r#"{"type":"transformer","n_head":2,"lora":{"rank":2,"loops":3,"beyond":"wrap"}}"#,
    r#"{"type":"sequential","blocks":[{"type":"loop_embedding","loops":3,"beyond":"interpolate"},{"type":"ssm","n_state":2}]}"#,
];

#[test]
fn every_way_through_the_loops() {
    fake::passes("ways::inner_ways", &[]);
}

#[test]
#[ignore = "run by the test above, on the fake GPU"]
fn inner_ways() {
    for (block, injector) in BLOCKS.into_iter().zip([
        r#"{"type":"full"}"#,
        r#"{"type":"last_n","n":3}"#,
        r#"{"type":"last_n","n":0}"#,
        r#"{"type":"full"}"#,
    ]) {
        holds(block, injector, false, &ways(), Math::F32, 2e-5);
    }
    holds(BLOCKS[0], r#"{"type":"last_n","n":3}"#, false, &ways(), Math::F32, 2e-5);
    let gated = step([4, 3], LastLoops {}, ExitWeighted { beta: 0.2, prior: Prior::Uniform }, &[]);
    for injector in [r#"{"type":"full"}"#, r#"{"type":"last_n","n":3}"#] {
        holds(BLOCKS[0], injector, true, std::slice::from_ref(&gated), Math::F32, 2e-5);
    }
}

#[test]
fn ways_in_bf16_are_f32_s_roughly() {
    fake::passes("ways::inner_ways_in_bf16", &[("FAKE_CUBLAS_ROUNDS", "1")]);
}

#[test]
#[ignore = "run by the test above, on the fake GPU"]
fn inner_ways_in_bf16() {
    let few = [step([5, 3], Phantom { loops: 3, damping: 0.6 }, UniformLoss {}, &[])];
    for block in &BLOCKS[..3] {
        holds(block, r#"{"type":"full"}"#, false, &few, Math::Bf16, 4e-2);
    }
}
