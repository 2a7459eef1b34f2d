//! What the reference engine refuses, and how it says so.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use common::{BLOCKS, INJECTORS, enlivened, model, prompts};
use looped_core::{LoopPlan, Objective, Prompts};
use looped_reference::Step;

#[test]
fn prompts_and_parameters_that_do_not_fit_are_refused() {
    let reference = model(BLOCKS[0], INJECTORS[0]);
    let store = enlivened(&reference);
    let refused = |prompts: &Prompts| reference.looping(&store, prompts, 1).err().unwrap().to_string();
    let good = prompts();
    let wide = Prompts { n_dims: 5, ..prompts() };
    assert_eq!(refused(&wide), "data: x has 5 coordinates, the model takes 3");
    assert_eq!(refused(&good.slice(0..0)), "data: there are 0 prompts of 5 points");
    let mut long = Prompts { points: 20, ..prompts() };
    (long.xs, long.ys) = (vec![0.0; 3 * 20 * 3], vec![0.0; 3 * 20]);
    let message = refused(&long);
    assert!(message.contains("there are 40 tokens, and positions for 15"), "{message}");
    let other = model(BLOCKS[2], INJECTORS[0]);
    let message = reference.looping(&enlivened(&other), &good, 1).err().unwrap().to_string();
    assert_eq!(message, "parameters: _backbone.transformer.h.0.ln_1.weight is missing");
    let plan = LoopPlan { loops: 3, window: 2 };
    let step = Step { plan, loss_loops: 0, objective: Objective::SquaredError };
    let message = reference.step(&store, &good, step).err().unwrap().to_string();
    assert_eq!(message, "data: of 3 loops, 2 carry gradient and 0 enter the loss: there is no loss");
}
