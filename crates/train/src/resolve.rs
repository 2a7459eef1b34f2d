//! What an experiment leaves open is settled when its run begins, so that its config tells the same story everywhere.

use candle_core::Device;
use looped_config::{Engine, Experiment};

use crate::model::all_threads;

/// Settles the threads, the engine on `device` and the loops of the evaluation, where the experiment leaves them open:
/// on another machine they would be others. Returns why the engine isn't the fast one.
pub fn resolve(experiment: &mut Experiment, device: &Device) -> Option<String> {
    let why = why_not_fused(experiment, device);
    let training = &mut experiment.training;
    if training.engine == Engine::Auto {
        training.engine = if why.is_none() { Engine::Fused } else { Engine::Candle };
    }
    training.threads.get_or_insert_with(all_threads);
    experiment.evaluation.loops.get_or_insert(training.curriculum.loops.end);
    why
}

fn why_not_fused(experiment: &Experiment, device: &Device) -> Option<String> {
    let (model, engine) = (&experiment.model, experiment.training.engine);
    if engine == Engine::Candle {
        Some("training.engine is \"candle\"".to_owned())
    } else if !device.is_cpu() {
        Some("it runs on the CPU only".to_owned())
    } else if model.block.fused(&model.dims()).is_none() {
        Some(format!("the block `{}` has no fused form", model.block.typetag_name()))
    } else if model.injector.fused().is_none() {
        Some(format!("the injector `{}` has no fused form", model.injector.typetag_name()))
    } else {
        None
    }
}
