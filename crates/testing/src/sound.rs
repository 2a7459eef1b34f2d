//! The check of a block or an injector: what it records can be trained, does what it says, and is computed alike by every engine.

mod engines;
mod gradients;
mod later;
mod placed;
mod rows;

use looped_core::{
    BlockConfig, Full, Injector, LastN, LoopPlan, ModelConfig, NoInjection, Objective, Operation, Predictor,
    Problems,
};
use looped_reference::ReferenceModel;

use crate::model::{Mixer, SEED, model, noisy_parameters, prompts};

pub use engines::{
    Asked, Results, agrees_with_reference, by_name, engines_agree, furthest_from_reference, moved_by_rounding,
};
pub use rows::rows_hold;

/// A block of width `n_embd` can be trained and does what it says, under each kind of injector:
///
/// - its width is kept, its numbers are finite, and they are the same each time;
/// - no row moves with one that it is said not to see, and rows that pass for the same in every loop are;
/// - a causal block's predictions don't change with later points, and the others' do;
/// - every parameter has a gradient, and it agrees with finite differences to seven digits, in 64 bits;
/// - every engine computes the same.
///
/// A block with a [`stop_gradient`](looped_core::graph::Value::stop_gradient) has other gradients on purpose: they are held to those of the
/// reference engine alone.
///
/// # Panics
/// If any of it is wrong.
#[track_caller]
pub fn sound(block: &dyn BlockConfig, n_embd: usize) {
    let operation = Operation::Add;
    let injectors: [&dyn Injector; 3] = [&Full { operation }, &LastN { n: 3, operation }, &NoInjection {}];
    for injector in injectors {
        let found = check(&model(block, injector, n_embd));
        if let Err(wrong) = found {
            panic!("{wrong}\n(with the injector `{}`)", injector.typetag_name());
        }
    }
}

/// An injector can be trained and does what it says: all that [`sound`] holds a block to, and what it gives with positions is what it gives
/// without them and the positions.
///
/// # Panics
/// If any of it is wrong.
#[track_caller]
pub fn sound_injector(injector: &dyn Injector) {
    let config = model(&Mixer {}, injector, placed::WIDTH);
    if let Err(wrong) = check(&config).and_then(|()| placed::agrees(injector)) {
        panic!("{wrong}");
    }
}

/// A whole model can be trained and does what it says: all that [`sound`] holds a block to. It takes 3 coordinates, and prompts of 5 points.
///
/// # Panics
/// If any of it is wrong.
#[track_caller]
pub fn sound_model(config: &ModelConfig) {
    if let Err(wrong) = check(config) {
        panic!("{wrong}");
    }
}

fn check(config: &ModelConfig) -> Result<(), String> {
    let mut problems = Problems::new();
    config.validate(&mut problems);
    if !problems.is_empty() {
        return Err(format!("the check needs other settings: {problems}"));
    }
    let text = |error: looped_core::Error| error.to_string();
    let graph = config.graph().map_err(text)?;
    let store = noisy_parameters(&graph, SEED);
    let model = ReferenceModel::new(graph).map_err(text)?.in_f64();
    let prompts = prompts();
    if let Some(place) = model.first_not_finite(&store, &prompts, 3).map_err(text)? {
        return Err(place.to_string());
    }
    let predict = || model.predictor(&store).predict(&prompts, 3).map_err(text);
    if predict()? != predict()? {
        return Err("computed twice, it gives other numbers the second time".to_owned());
    }
    for changed in [0, 3, 2 * prompts.points - 1] {
        rows_hold(model.graph(), &store, &prompts, 3, changed)?;
    }
    later::points_are_seen_as_said(
        &model,
        &store,
        &prompts,
        config.blocks().all(|(_, block)| block.is_causal()),
    )?;
    gradients::agree_with_differences(&model, &store, &prompts)?;
    for (loops, window, loss_loops) in [(2, 2, 2), (4, 3, 2)] {
        let plan = LoopPlan { loops, window };
        let asked = Asked { plan, loss_loops, objective: Objective::SquaredError, threads: 2 };
        engines_agree(model.graph(), config.dims(), &store, &prompts, asked)?;
    }
    Ok(())
}
