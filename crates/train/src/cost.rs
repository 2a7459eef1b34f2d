//! What an experiment costs, before it's run: parameters, floating-point operations, memory.

use looped_config::Experiment;
use looped_core::StepWork;
use looped_curriculum::Stage;
use looped_graph::{Flops, Graph};

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
        let graph = experiment.model.graph()?;
        let sum = |wanted: &dyn Fn(&str) -> bool| -> u64 {
            graph.params().iter().filter(|info| wanted(&info.name)).map(|info| info.len() as u64).sum()
        };
        let is_position = |name: &str| name.ends_with("wpe.weight");
        let positions = sum(&is_position);
        let parameters = sum(&|name| !is_position(name));
        let backbone = sum(&|name| name.starts_with("_backbone.") && !is_position(name));
        let memory = of_run(experiment, &graph);
        Ok(Self { parameters, backbone, positions, flops: flops(experiment, &graph), memory })
    }
}

/// Operations over all steps: the steps of one stage cost the same.
fn flops(experiment: &Experiment, graph: &Graph) -> f64 {
    let training = &experiment.training;
    // The graph's operations depend on the points alone, which stages differ in less often than in loops.
    let mut last: Option<(usize, Flops)> = None;
    let mut of_prompt = |points| match last {
        Some((same, flops)) if same == points => flops,
        _ => last.insert((points, prompt_flops(experiment, graph, points))).1,
    };
    let stages = training.curriculum.stages(training.train_steps);
    let of_stage = |(stage, steps): (Stage, std::ops::Range<usize>)| {
        steps.len() as f64 * step_flops_of(experiment, of_prompt(stage.points), stage)
    };
    stages.map(of_stage).sum()
}

/// Operations of a step, in the mean over what it may draw.
pub(crate) fn step_flops(experiment: &Experiment, graph: &Graph, stage: Stage) -> f64 {
    step_flops_of(experiment, prompt_flops(experiment, graph, stage.points), stage)
}

/// Operations for a prompt of so many points.
fn prompt_flops(experiment: &Experiment, graph: &Graph, points: usize) -> Flops {
    let layout = experiment.model.layout();
    looped_graph::flops(graph, layout.tokens(points), &layout.reads(points))
}

/// Operations of a step at a stage with these for each prompt.
fn step_flops_of(experiment: &Experiment, Flops { once, each_loop }: Flops, stage: Stage) -> f64 {
    let training = &experiment.training;
    let of = |loops| {
        let StepWork { passes, loops, backward } = training.work(loops);
        // A backward pass has two products for each one forward.
        3.0 * passes * once as f64 + (loops + 2.0 * backward) * each_loop as f64
    };
    let each = training.depth.as_ref().map_or_else(|| of(stage.loops), |depth| depth.mean(stage.loops, &of));
    training.batch_size as f64 * each
}
