//! What an experiment costs, before it's run: parameters, floating-point operations, memory.

use candle_core::Device;
use looped_config::Experiment;
use looped_core::LoopedModel;
use looped_curriculum::Stage;
use looped_fused::{Footprint, Work};
use looped_graph::Graph;

use crate::model::all_threads;
use crate::{EngineChoice, Result};

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
        let memory = memory(experiment, parameters + positions);
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

/// What the program takes before it trains anything, and what it takes to draw its plots.
const PROGRAM: f64 = 16e6;
const PLOTS: f64 = 18e6;

/// Times the parameters that saving takes for a moment: the checkpoint's copy of them and of both moments (3), their files
/// (3), and the larger file once more while it is put together (2).
const SAVING: f64 = 8.0;

/// Prompts that the model predicts at once when it is evaluated, and prompts whose states are looked at together.
const EVALUATED_AT_ONCE: usize = 64;
const LOOKED_AT_ONCE: usize = 8;

/// What is kept all the time, and beside it what a step or a prediction, a save, a look at the states and the plots take.
fn memory(experiment: &Experiment, parameters: u64) -> f64 {
    let (training, curriculum) = (&experiment.training, &experiment.training.curriculum);
    let (points, loops) = (curriculum.points.end, curriculum.loops.end);
    let threads = training.threads.unwrap_or_else(all_threads);
    let values = |prompts: usize| 4.0 * (prompts * points) as f64 * (experiment.model.n_dims + 1) as f64;
    let parameters = 4.0 * parameters as f64;
    let choice = EngineChoice::of(experiment, &Device::Cpu).map_or("candle", |choice| choice.engine);
    let graph = if choice == "graph" { experiment.model.graph().ok().flatten() } else { None };
    let engine = |prompts, loops, window| {
        let work = Work { prompts, points, loops, window, threads };
        let own = match (choice, &graph) {
            ("fused", _) => looped_fused::footprint(&experiment.model, work),
            (_, Some(graph)) => by_graph(graph, work),
            _ => None,
        };
        own.unwrap_or_else(|| candle_footprint(experiment, work, parameters))
    };
    let step = engine(training.batch_size, loops, training.n_loop_window);
    let evaluation = &experiment.evaluation;
    let (prompts, evaluated) = (evaluation.prompts as f64, evaluation.loops.unwrap_or(loops));
    let predicting = engine(EVALUATED_AT_ONCE, evaluated, 0);
    let states = LOOKED_AT_ONCE as f64 * passing_through(experiment, points);
    // A score of each prompt for each curve's points, and for each loop.
    let scores = 8.0 * prompts * ((evaluation.baselines.len() + 1) * points + evaluated) as f64;
    let kept = PROGRAM + 3.0 * parameters + step.kept.max(predicting.kept);
    let computing = (step.passing + values(training.batch_size))
        .max(predicting.passing + scores + values(EVALUATED_AT_ONCE));
    // What one of these gives back seldom has the sizes that the next one asks for: they add up.
    kept + computing + SAVING * parameters + states + PLOTS
}

/// What the graph engine takes.
fn by_graph(graph: &Graph, work: Work) -> Option<Footprint> {
    let Work { prompts, points, loops, window, threads } = work;
    let work = looped_cpu::Work { prompts, points, loops, window, threads };
    let looped_cpu::Footprint { kept, passing } = looped_cpu::footprint(graph, work).ok()?;
    Some(Footprint { kept, passing })
}

/// Bytes that one prompt's way through one loop takes on candle while nothing is kept.
fn passing_through(experiment: &Experiment, points: usize) -> f64 {
    let (model, tokens) = (&experiment.model, 2 * points);
    // At any time about a third of a block's results are still needed.
    4.0 * model.block.activations(&model.dims(), tokens) as f64 / 3.0
}

/// What candle's graph takes: it keeps every result of the window's loops, and gives all back.
fn candle_footprint(experiment: &Experiment, work: Work, parameters: f64) -> Footprint {
    let Work { prompts, points, loops, window, .. } = work;
    let (model, tokens) = (&experiment.model, 2 * points);
    let dims = model.dims();
    let window = window.min(loops) as f64;
    // Injection, positions and the final norm keep about 8 results of width D a token.
    let per_loop = dims.n_layer as f64 * model.block.activations(&dims, tokens) as f64
        + (8 * dims.n_embd * tokens) as f64;
    let looped = (tokens - model.injector.invariant_prefix(tokens)) as f64 / tokens as f64;
    let graph = if window > 0.0 { 4.0 * per_loop * (window * looped + 1.0 - looped) } else { 0.0 };
    // Gradients, and what an update makes for a moment.
    let gradients = if window > 0.0 { 2.0 * parameters } else { 0.0 };
    let passing = prompts as f64 * (graph + passing_through(experiment, points)) + gradients;
    Footprint { kept: 0.0, passing }
}

/// Memory that this machine could give a new program, in bytes; nothing if the system doesn't tell.
#[must_use]
pub fn available_memory() -> Option<u64> {
    let mut system = sysinfo::System::new().ok()?;
    system.refresh_memory();
    // A container may be allowed less than the machine has.
    let allowed = system.cgroup_limits().map_or(u64::MAX, |limits| limits.free_memory);
    Some(system.available_memory().min(allowed)).filter(|&bytes| bytes > 0)
}
