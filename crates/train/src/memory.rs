//! How much memory a run or a command takes, before it takes it, and how much there is.

use candle_core::Device;
use looped_config::Experiment;
use looped_core::{Baseline, Footprint, Pass, Rng, Work};
use looped_cuda::{PromptShape, math_of};
use looped_graph::{Graph, ParamInfo};
use looped_reference::{footprint, passing_through};

use crate::model::all_threads;
use crate::optimizer::{default_optimizer, numbers_kept};
use crate::{EngineChoice, Result, Target, TrainError};

/// What the program takes before it trains anything, and what it takes to draw its plots.
const PROGRAM: f64 = 16e6;
const PLOTS: f64 = 18e6;

/// Times the parameters that saving takes for a moment, beside the checkpoint's copy of all that is kept, and its files: the
/// larger file once more while it is put together.
const ONCE_MORE: f64 = 2.0;

/// Prompts that a model predicts at once when it is evaluated, and prompts whose states are looked at together.
const PREDICTED_AT_ONCE: usize = 64;
const LOOKED_AT_ONCE: usize = 8;

/// Resamples that an interval is of.
const RESAMPLES: f64 = 1000.0;

/// Work on a trained model: what its memory depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// How many prompts.
    pub prompts: usize,
    /// Points in each.
    pub points: usize,
    /// Loops of the model.
    pub loops: usize,
}

/// Refuses work that needs more bytes than there are on `device`, before it takes any, and says what to `lower`.
///
/// # Errors
/// If it needs more than there are.
pub fn refuse_what_does_not_fit(what: &str, needed: f64, device: &Target, lower: &str) -> Result<()> {
    // What a GPU has is not known before it's asked for; it refuses by itself.
    let known = if device.is_cpu() { available_memory() } else { None };
    let available = known.map_or(f64::INFINITY, |bytes| bytes as f64);
    if needed <= available {
        return Ok(());
    }
    Err(TrainError::Refused(format!(
        "{what} about {:.1} GB of memory, and {:.1} GB are free here; lower {lower}",
        needed / 1e9,
        available / 1e9
    )))
}

/// Bytes that a run takes at once: what is kept all the time, and beside it what a step or a prediction, a save, a look at
/// the states and the plots take.
pub(crate) fn of_run(experiment: &Experiment, graph: &Graph) -> f64 {
    let (training, evaluation) = (&experiment.training, &experiment.evaluation);
    let (points, loops) = (training.curriculum.points.end, training.most_loops());
    let parameters = bytes_of_parameters(graph);
    let prompts_at_once = |prompts| values(experiment, Asked { prompts, points, loops });
    let trained = Asked { prompts: training.batch_size, points, loops };
    let step = engine(experiment, graph, trained, training.slots());
    let scored = Asked {
        prompts: evaluation.prompts,
        points,
        loops: evaluation.loops.unwrap_or(training.usual_loops()),
    };
    let predicting = engine(experiment, graph, Asked { prompts: PREDICTED_AT_ONCE, ..scored }, 0);
    let states = LOOKED_AT_ONCE as f64 * passing_through(graph, experiment.model.layout().tokens(points));
    let own = bytes_kept(experiment, graph);
    let kept = PROGRAM + own + step.kept.max(predicting.kept);
    let computing = (step.passing + prompts_at_once(training.batch_size))
        .max(predicting.passing + scores(scored, &evaluation.baselines) + prompts_at_once(PREDICTED_AT_ONCE));
    // A look at the states finds what a save gave back. The rest seldom has sizes that fit into one another: it adds up.
    kept + computing + saving(own, parameters).max(states) + PLOTS
}

/// Bytes of a GPU's memory that the CUDA engine takes at once for a run, from its first step to its evaluation. What the driver takes for
/// itself and for the kernels comes to it: a few hundred megabytes.
///
/// # Errors
/// If the engine can't take the model, or no GPU could hold its prompts.
pub fn memory_on_gpu(experiment: &Experiment) -> Result<f64> {
    let (training, evaluation, graph) =
        (&experiment.training, &experiment.evaluation, experiment.model.graph()?);
    let (math, points) = (math_of(training.precision), training.curriculum.points.end);
    let shape = |prompts| PromptShape { prompts, layout: experiment.model.layout(), points };
    let mut most = 0;
    let loops = training.step_loops(training.most_loops(), Rng::stream(0, "memory", 0));
    let passes = loops.passes();
    if passes.is_none() {
        most = shape(training.batch_size).through(&graph, &loops, math).map_err(not_on_gpu)?;
    }
    for Pass { plan, counted, .. } in passes.unwrap_or_default() {
        let objective = experiment.task.objective();
        let step = looped_cuda::Step { plan, loss_loops: counted, objective, math };
        most = most.max(shape(training.batch_size).training(&graph, step).map_err(not_on_gpu)?.bytes);
    }
    for (prompts, loops) in [
        (training.batch_size, training.usual_loops()),
        (evaluation.prompts, evaluation.loops.unwrap_or(training.usual_loops())),
    ] {
        most = most.max(shape(prompts).predicting(&graph, loops, math).map_err(not_on_gpu)?.bytes);
    }
    Ok((looped_cuda::ALWAYS + most) as f64)
}

fn not_on_gpu(error: looped_core::Error) -> TrainError {
    TrainError::Refused(format!(
        "on a GPU this can't be computed: {error}; lower training.batch_size or model.n_embd"
    ))
}

/// Bytes that scoring a trained model beside baselines takes at once: an estimate, on the CPU.
///
/// # Errors
/// If the model can't be built.
pub fn memory_of_scoring(
    experiment: &Experiment,
    asked: Asked,
    baselines: &[Box<dyn Baseline>],
) -> Result<f64> {
    let states = LOOKED_AT_ONCE as f64
        * passing_through(&experiment.model.graph()?, experiment.model.layout().tokens(asked.points));
    Ok(opened_and_predicting(experiment, asked)? + scores(asked, baselines) + states + PLOTS)
}

/// Bytes that predicting prompts after each loop, and writing the predictions down, takes at once: an estimate, on the CPU.
///
/// # Errors
/// If the model can't be built.
pub fn memory_of_predicting(experiment: &Experiment, asked: Asked) -> Result<f64> {
    let predictions = 4.0 * asked.loops as f64 * asked.prompts as f64 * asked.points as f64;
    // The prompts are there twice while the file is read. The predictions are, while theirs is put together.
    Ok(opened_and_predicting(experiment, asked)? + 2.0 * (values(experiment, asked) + predictions))
}

/// Bytes that a model takes that is opened from its run, and predicts some prompts at a time.
///
/// # Errors
/// If the model can't be built.
pub fn opened_and_predicting(experiment: &Experiment, asked: Asked) -> Result<f64> {
    let graph = experiment.model.graph()?;
    let at_once = Asked { prompts: PREDICTED_AT_ONCE, ..asked };
    let Footprint { kept, passing } = engine(experiment, &graph, at_once, 0);
    let (own, parameters) = (bytes_kept(experiment, &graph), bytes_of_parameters(&graph));
    Ok(PROGRAM + own + saving(own, parameters) + kept + passing + values(experiment, at_once))
}

/// Prompts as they are drawn or read.
fn values(experiment: &Experiment, Asked { prompts, points, .. }: Asked) -> f64 {
    4.0 * prompts as f64 * points as f64 * (experiment.model.n_dims + 1) as f64
}

/// A score of each prompt for each curve's points, and for each loop where a curve has those, and all of them again as a file; and the means in
/// each resample of the prompts.
fn scores(Asked { prompts, points, loops }: Asked, baselines: &[Box<dyn Baseline>]) -> f64 {
    let by_loop = baselines.iter().filter(|baseline| baseline.by_loop().is_some()).count();
    let scores = prompts as f64 * ((baselines.len() + 1) * points + (by_loop + 1) * loops) as f64;
    (8.0 + 2.0 * 4.0) * scores + 8.0 * RESAMPLES * points.max(loops) as f64
}

/// What a trainer keeps: the parameters, what their optimiser keeps of each, and their average.
fn bytes_kept(experiment: &Experiment, graph: &Graph) -> f64 {
    let training = &experiment.training;
    let rule = training.optimizer.clone().unwrap_or_else(default_optimizer);
    let models = if training.ema.is_some() { 2.0 } else { 1.0 };
    models * bytes_of_parameters(graph) + 4.0 * numbers_kept(&*rule, graph) as f64
}

/// What a save takes for a moment: a copy of what is kept, and its files.
fn saving(kept: f64, parameters: f64) -> f64 {
    2.0 * kept + ONCE_MORE * parameters
}

fn bytes_of_parameters(graph: &Graph) -> f64 {
    4.0 * graph.params().iter().map(ParamInfo::len).sum::<usize>() as f64
}

/// What the engine of an experiment takes on the CPU; candle's, where it doesn't tell or doesn't run there.
fn engine(experiment: &Experiment, graph: &Graph, asked: Asked, window: usize) -> Footprint {
    let Asked { prompts, points, loops } = asked;
    let threads = experiment.training.threads.unwrap_or_else(all_threads);
    let work = Work { prompts, layout: experiment.model.layout(), points, loops, window, threads };
    let own = EngineChoice::of(experiment, Device::Cpu).ok();
    own.and_then(|choice| choice.engine.footprint(graph, work)).unwrap_or_else(|| footprint(graph, work))
}

/// Memory that this process could still get, in bytes: what the machine has free, a container allows and `ulimit -v` leaves;
/// nothing if the system doesn't tell.
#[must_use]
pub fn available_memory() -> Option<u64> {
    let mut system = sysinfo::System::new().ok()?;
    system.refresh_memory();
    // A container may be allowed less than the machine has.
    let allowed = system.cgroup_limits().map_or(u64::MAX, |limits| limits.free_memory);
    let bytes = system.available_memory().min(allowed).min(address_space_left().unwrap_or(u64::MAX));
    Some(bytes).filter(|&bytes| bytes > 0)
}

/// What `ulimit -v` leaves of the address space; nothing where it sets no limit.
fn address_space_left() -> Option<u64> {
    #[cfg(target_os = "linux")]
    {
        let limit = rustix::process::getrlimit(rustix::process::Resource::As).current?;
        let text = std::fs::read_to_string("/proc/self/statm").ok()?;
        let pages: u64 = text.split(' ').next()?.parse().ok()?;
        Some(limit.saturating_sub(pages * rustix::param::page_size() as u64))
    }
    #[cfg(not(target_os = "linux"))]
    None
}
