//! The reference engine computes what the model written in candle computes.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::sync::Arc;

use common::{BLOCKS, INJECTORS, config, enlivened, prompts};
use looped_core::{CandlePredictor, Device, LoopPlan, LoopedModel, Objective, Predictor, Tensor};
use looped_reference::{ReferenceModel, Step};

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |largest, value| largest.max(value.abs()))
}

/// The largest difference over the largest value.
fn apart(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let differences: Vec<f32> = found.iter().zip(expected).map(|(a, b)| a - b).collect();
    largest(&differences) / largest(expected)
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

const STEPS: [Step; 3] = [
    Step { plan: LoopPlan { loops: 4, window: 3 }, loss_loops: 2, objective: Objective::SquaredError },
    Step { plan: LoopPlan { loops: 3, window: 9 }, loss_loops: 9, objective: Objective::CrossEntropy },
    Step { plan: LoopPlan { loops: 5, window: 1 }, loss_loops: 1, objective: Objective::SquaredError },
];

#[test]
fn loss_gradients_predictions_and_states_of_every_block_under_every_injector() {
    for (block, injector) in BLOCKS.iter().flat_map(|block| INJECTORS.map(|injector| (*block, injector))) {
        let what = |of: &str| format!("{of} of {block} under {injector}");
        let config = Arc::new(config(block, injector));
        let reference = ReferenceModel::new(&config).unwrap().unwrap();
        let store = enlivened(&reference);
        let mut candles = enlivened(&reference);
        let candle = LoopedModel::build(config, &mut candles).unwrap();
        let prompts = prompts();
        let (xs, ys) = prompts.to_tensors(&Device::Cpu).unwrap();

        for step in STEPS {
            let (loss, gradients) = reference.step(&store, &prompts, step).unwrap();
            let predictions = candle.forward(&xs, &ys, step.plan).unwrap();
            let window = predictions.dim(0).unwrap();
            let counted = step.loss_loops.min(window);
            let expected = predictions.narrow(0, window - counted, counted).unwrap();
            let expected = step.objective.loss(&expected, &ys).unwrap();
            let found = apart(&[loss as f32], &[expected.to_scalar().unwrap()]);
            assert!(found <= 1e-6, "{}: {found}", what("the loss"));
            let expected = expected.backward().unwrap();
            let all = |name: &str| {
                let var = candles.get(name).unwrap();
                expected.get(var.as_tensor()).map_or(vec![0.0; var.elem_count()], numbers)
            };
            // A gradient far below the others is what is left of larger ones that cancel, and so is its error.
            let floor = 1e-2 * store.iter().map(|(name, _)| largest(&all(name))).fold(0.0, f32::max);
            for (name, gradient) in &gradients {
                let (found, expected) = (numbers(gradient), all(name));
                let scale = largest(&expected).max(floor);
                for (found, expected) in found.iter().zip(&expected) {
                    let apart = (found - expected).abs() / scale;
                    assert!(apart <= 5e-6, "{} of {name}: {found}, not {expected}", what("the gradient"));
                }
            }
        }

        let found = reference.predictor(&store).predict(&prompts, 5).unwrap();
        let predictor = CandlePredictor { model: &candle, device: Device::Cpu };
        let expected = predictor.predict(&prompts, 5).unwrap();
        for index in 0..5 {
            let found = apart(found.after(index), expected.after(index));
            assert!(found <= 1e-6, "{}: {found}", what("the predictions"));
        }
        let mut looping = reference.looping(&store, &prompts).unwrap();
        candle
            .states(&xs, &ys, 4, |_, state| {
                looping.advance()?;
                let found = apart(&numbers(looping.state()), &numbers(state));
                assert!(found <= 1e-6, "{}: {found}", what("the state"));
                Ok(())
            })
            .unwrap();
    }
}

#[test]
fn prompts_and_parameters_that_do_not_fit_are_refused() {
    let reference = ReferenceModel::new(&config(BLOCKS[0], INJECTORS[0])).unwrap().unwrap();
    let store = enlivened(&reference);
    let refused =
        |prompts: &looped_core::Prompts| reference.looping(&store, prompts).err().unwrap().to_string();
    let good = prompts();
    let wide = looped_core::Prompts { n_dims: 5, ..prompts() };
    assert_eq!(refused(&wide), "data: x has 5 coordinates, the model takes 3");
    assert_eq!(refused(&good.slice(0..0)), "data: there are 0 prompts of 5 points");
    let mut long = looped_core::Prompts { points: 20, ..prompts() };
    (long.xs, long.ys) = (vec![0.0; 3 * 20 * 3], vec![0.0; 3 * 20]);
    let message = refused(&long);
    assert!(message.contains("there are 40 tokens, and positions for 15"), "{message}");
    let empty = looped_core::ParamStore::new(0, &Device::Cpu);
    let message = reference.looping(&empty, &good).err().unwrap().to_string();
    assert_eq!(message, "parameters: _read_in.weight is missing");
    let plan = LoopPlan { loops: 3, window: 2 };
    let step = Step { plan, loss_loops: 0, objective: Objective::SquaredError };
    let message = reference.step(&store, &good, step).err().unwrap().to_string();
    assert_eq!(message, "data: of 3 loops, 2 carry gradient and 0 enter the loss: there is no loss");
}
