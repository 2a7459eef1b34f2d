//! What an experiment leaves open is settled when its run begins, so that its config tells the same story everywhere.

use looped_config::{EngineName, Experiment};
use looped_core::Target;

use crate::model::all_threads;
use crate::{EngineChoice, Result};

/// Settles the threads, the engine on `device` and the loops of the evaluation, where the experiment leaves them open:
/// on another machine they would be others.
///
/// # Errors
/// If it asks for an engine or a precision that it can't have.
pub fn resolve(experiment: &mut Experiment, device: impl Into<Target>) -> Result<EngineChoice> {
    let choice = EngineChoice::of(experiment, device)?;
    let training = &mut experiment.training;
    if training.engine == EngineName::Auto {
        training.engine = EngineName::Named(choice.engine.key().to_owned());
    }
    training.threads.get_or_insert_with(all_threads);
    if experiment.task.alphabet().is_some() {
        // Baselines are fitted to points.
        experiment.evaluation.baselines.clear();
    }
    experiment.evaluation.loops.get_or_insert(training.usual_loops());
    Ok(choice)
}
