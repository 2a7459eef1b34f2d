//! What an experiment costs, before it's run: parameters, floating-point operations, memory.

use looped_config::Experiment;
use looped_core::LoopedModel;
use looped_curriculum::Stage;

use crate::Result;
use crate::memory::of_run;

/// What a whole training costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Parameters, positions not counted.
    pub parameters: u64,
    /// Those of the backbone: the blocks and the final norm, without read-in, read-out and positions.
    pub backbone: u64,
    /// Parameters of the position table.
    pub positions: u64,
    /// Floating-point operations of all training steps; those of matrix products, backward passes counting twice.
    pub flops: f64,
    /// Largest memory at once, in bytes; an estimate, on the CPU for the engine that `training.engine` names.
    pub memory: f64,
}

impl Cost {
    /// The cost of an experiment; allocates nothing of its size.
    ///
    /// # Errors
    /// If the model can't be built.
    pub fn of(experiment: &Experiment) -> Result<Self> {
        let outline = LoopedModel::outline(&experiment.model)?;
        let size = |shape: &[usize]| shape.iter().map(|&n| n as u64).product::<u64>();
        let sum = |wanted: &dyn Fn(&str) -> bool| -> u64 {
            outline.iter().filter(|(name, _)| wanted(name)).map(|(_, shape)| size(shape)).sum()
        };
        let is_position = |name: &str| name.ends_with("wpe.weight");
        let positions = sum(&is_position);
        let parameters = sum(&|name| !is_position(name));
        let backbone = sum(&|name| name.starts_with("_backbone.") && !is_position(name));
        let memory = of_run(experiment, parameters + positions);
        Ok(Self { parameters, backbone, positions, flops: flops(experiment), memory })
    }
}

/// Operations over all steps: the steps of one stage cost the same.
fn flops(experiment: &Experiment) -> f64 {
    let training = &experiment.training;
    let stages = training.curriculum.stages(training.train_steps);
    stages.map(|(stage, steps)| steps.len() as f64 * step_flops(experiment, stage)).sum()
}

fn step_flops(experiment: &Experiment, stage: Stage) -> f64 {
    let model = &experiment.model;
    let (dims, tokens) = (model.dims(), 2 * stage.points);
    let blocks = |range| dims.n_layer as f64 * model.block.flops(&dims, range) as f64;
    let prefix = model.injector.invariant_prefix(tokens);
    let window = experiment.training.n_loop_window.min(stage.loops);
    // A backward pass has two products for each one forward.
    let passes = (stage.loops + 2 * window) as f64;
    let ends = 2.0 * (dims.n_dims * dims.n_embd * tokens) as f64 * 3.0
        + 2.0 * (dims.n_embd * stage.points) as f64 * passes;
    experiment.training.batch_size as f64 * (ends + 3.0 * blocks(0..prefix) + passes * blocks(prefix..tokens))
}
