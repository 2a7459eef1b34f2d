//! `--device auto`: the device on which a run is expected to end sooner.
//!
//! The times are estimated from the experiment alone, so that the same machine takes the same device each time. Both are rough: the GPU has
//! to be expected to take less than half of the CPU's time.
//!
//! The CPU's numbers were fitted to a machine of 16 cores with AVX-512: `experiments/quickstart_adam.toml`, of width 32, on 1 to 16 threads,
//! and the study's step at width 256 on 16. The GPU's are of an H200 beside it (`docs/gpu.md`):
//!
//! | ms a step | measured | by these numbers |
//! | --- | --- | --- |
//! | GPU, width 256, bf16 | 4.6 | 4.5 |
//! | tf32 | 7.2 | 7.4 |
//! | f32 | 19.2 | 19.0 |
//! | an LSTM, f32 | 32 | 33 |
//! | a state space, f32 | 16.5 | 14.4 |
//! | `experiments/quickstart_adam.toml` | 0.60 | 0.63 |
//! | CPU, the same on 1, 4 and 16 threads | 17.4, 5.3, 1.9 | 17.6, 5.1, 1.9 |
//! | width 256, f32, on 16 threads | 690 | 740 |

use std::path::Path;

use looped_config::{EngineName, Experiment, Training};
use looped_core::{LoopPlan, NamedEngine, Pass, Precision, Target};
use looped_cuda::{PromptShape, Step, math_of};

use crate::cost::step_flops;
use crate::model::all_threads;
use crate::{Provenance, Result, device_and_note, device_in_words};

/// Floating-point operations in a second of one core, of rows that are wide enough.
const OF_A_CORE: f64 = 50e9;
/// How wide that is; of narrower ones they fall with the root of the width.
const WIDE: usize = 64;
/// Seconds of a step in which the cores wait for one another, or for one of them.
const A_STEP_OF_CORES: f64 = 0.9e-3;
/// Floating-point operations in a second of a GPU, in f32, tf32 and bf16.
const OF_A_GPU: [f64; 3] = [34e12, 100e12, 200e12];
/// Seconds that each operation on a GPU takes beside its arithmetic.
const AN_OPERATION: f64 = 2.5e-6;
/// Seconds of a step in which the GPU waits: prompts are copied there, and the loss back.
const A_STEP: f64 = 0.25e-3;
/// Seconds until a GPU does its first step: the driver begins, and kernels are compiled.
const A_START: f64 = 2.0;
/// How many times as long a step takes that goes loop by loop as one whose window has all loops, at most. At width 256 in bf16 the latter is
/// expected to take 6 ms; a gate took 23, and `phantom` 29.
const LOOP_BY_LOOP: f64 = 8.0;
/// The same where the host looks at the state again and again: `implicit` took 213 ms. It counts for a plugin's ways, too.
const STATE_BY_STATE: f64 = 50.0;
/// How often the GPU's time has to fit into the CPU's.
const CLEARLY: f64 = 2.0;

/// A device, and in words which it is and why.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// The device.
    pub target: Target,
    /// As it is told when a run begins.
    pub words: String,
}

impl Chosen {
    /// A device as its name says it, with what was missing if there is a note of that.
    fn named(target: Target, name: &str, note: Option<String>) -> Self {
        let words =
            note.map_or_else(|| device_in_words(&target, name), |note| format!("{} ({note})", target.name()));
        Self { target, words }
    }
}

/// Seconds of a step of the curriculum's last stage.
#[derive(Clone, Copy, Debug)]
struct Expected {
    cpu: f64,
    gpu: f64,
}

impl Expected {
    fn of(experiment: &Experiment) -> Result<Self> {
        let graph = experiment.model.graph()?;
        let training = &experiment.training;
        let stage = experiment.stage(training.train_steps.saturating_sub(1));
        let flops = step_flops(experiment, &graph, stage);
        let cores = training.threads.unwrap_or_else(all_threads) as f64;
        let prompts = PromptShape {
            prompts: training.batch_size,
            layout: experiment.model.layout(),
            points: stage.points,
        };
        let (passes, slower) = passes_on_a_gpu(training, stage.loops);
        let mut operations = 0;
        for pass in passes {
            let step = Step {
                plan: pass.plan,
                loss_loops: pass.counted,
                objective: experiment.task.objective(),
                math: math_of(training.precision),
            };
            operations += prompts.operations(&graph, step)?;
        }
        let rate = match training.precision {
            Precision::F32 => OF_A_GPU[0],
            Precision::Tf32 => OF_A_GPU[1],
            Precision::Bf16 => OF_A_GPU[2],
        };
        let gpu = A_STEP + operations as f64 * AN_OPERATION + flops / rate;
        let wide = (experiment.model.dims().n_embd as f64 / WIDE as f64).min(1.0).sqrt();
        let cpu = A_STEP_OF_CORES + flops / (cores * OF_A_CORE * wide);
        Ok(Self { cpu, gpu: gpu * slower })
    }

    /// Whether so many steps are expected to take clearly less time on the GPU.
    fn favours_gpu(self, steps: usize) -> bool {
        let steps = steps as f64;
        CLEARLY * (A_START + steps * self.gpu) < steps * self.cpu
    }
}

/// The passes that a step takes on a GPU, and how many times as long they take because it goes loop by loop.
fn passes_on_a_gpu(training: &Training, loops: usize) -> (Vec<Pass>, f64) {
    let passes = training.passes(loops);
    if !passes.is_empty() {
        return (passes, 1.0);
    }
    let all = Pass { share: 1.0, plan: LoopPlan { loops, window: loops }, counted: loops };
    let slower = match training.unroll.as_ref().map_or("last", |unroll| unroll.typetag_name()) {
        "last" | "random_prefix" | "phantom" => LOOP_BY_LOOP,
        _ => STATE_BY_STATE,
    };
    (vec![all], slower)
}

/// The device called `name` for an experiment; `auto` takes the GPU `cuda:0` where there is one, the CUDA engine can take the model, and the
/// whole training is expected to take less than half of the time that it takes on the CPU.
///
/// # Errors
/// As [`device`](crate::device()), or if the model can't be built.
pub fn device_for(name: &str, experiment: &Experiment) -> Result<Chosen> {
    let (known, note) = device_and_note(name)?;
    let training = &experiment.training;
    let may_be_fused = match &training.engine {
        EngineName::Auto => true,
        EngineName::Named(name) => name == EngineName::FUSED,
    };
    // Builds for candle's GPUs take those.
    if name != "auto" || !known.is_cpu() || note.is_some() || !may_be_fused {
        return Ok(Chosen::named(known, name, note));
    }
    let cpu =
        |why: String| Ok(Chosen { words: format!("cpu (--device auto: {why})"), target: known.clone() });
    // Before anything is worked out: most machines have none.
    if let Err(why) = looped_cuda::found(0) {
        return cpu(why);
    }
    let cuda = NamedEngine::meant_by(EngineName::FUSED);
    let cuda = cuda.into_iter().find(|engine| engine.runs_on(&Target::Cuda(0)));
    if let Some(why) = cuda.and_then(|cuda| experiment.refused_by(cuda)) {
        return cpu(format!("the CUDA engine can't take this model: {why}"));
    }
    let expected = match Expected::of(experiment) {
        Ok(expected) => expected,
        Err(why) => return cpu(format!("the CUDA engine can't take this model: {why}")),
    };
    let times = [expected.cpu, expected.gpu].map(|seconds| format!("{:.2} ms", 1e3 * seconds));
    let [here, there] = &times;
    // The CPU has no tf32.
    if training.precision != Precision::Tf32 && !expected.favours_gpu(training.train_steps) {
        return cpu(format!("a step is expected to take {here} here, and {there} on a GPU"));
    }
    match looped_cuda::card(0) {
        Ok(card) => Ok(Chosen {
            target: Target::Cuda(0),
            words: format!(
                "cuda:0 (--device auto: a step is expected to take {there} on {card}, and {here} on the CPU)"
            ),
        }),
        Err(why) => cpu(format!("no GPU can be used: {why}")),
    }
}

/// The device called `name` for a run that is resumed; `auto` takes the GPU on which the CUDA engine trained it last, if that can be used.
///
/// # Errors
/// As [`device`](crate::device()).
pub fn device_of_run(name: &str, run: &Path) -> Result<Chosen> {
    let (known, note) = device_and_note(name)?;
    // A damaged run.json is told by whoever needs what it says.
    let last =
        Provenance::read(run).ok().flatten().and_then(|provenance| provenance.sessions.last().cloned());
    let last =
        last.filter(|last| last.engine == "cuda" && name == "auto" && known.is_cpu() && note.is_none());
    let gpu = last.and_then(|last| last.device.strip_prefix("cuda:")?.parse().ok());
    Ok(match gpu.map(|index| (index, looped_cuda::card(index))) {
        None => Chosen::named(known, name, note),
        Some((index, Ok(card))) => Chosen {
            target: Target::Cuda(index),
            words: format!("cuda:{index} (--device auto: {card}, as in the session before)"),
        },
        Some((index, Err(why))) => Chosen {
            target: known,
            words: format!(
                "cpu (--device auto: the session before was on cuda:{index}, and no GPU can be used: {why})"
            ),
        },
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

    use looped_blocks as _;
    use looped_tasks as _;

    use super::*;

    /// Of the quickstart with such a window, and perhaps another way through the loops.
    fn expected(window: usize, more: &str) -> Expected {
        let text = include_str!("../../../experiments/quickstart_adam.toml");
        let text =
            text.replace("n_loop_window = 4", &format!("n_loop_window = {window}\nthreads = 16\n{more}"));
        Expected::of(&Experiment::from_toml(&text).unwrap()).unwrap()
    }

    #[test]
    fn a_step_that_goes_loop_by_loop_is_reckoned_as_a_window_s_and_more() {
        let window = expected(8, "").gpu;
        let phantom = expected(4, "unroll = { type = \"phantom\", loops = 4, damping = 0.5 }").gpu;
        let implicit = expected(1, "unroll = { type = \"implicit\" }").gpu;
        assert!((7.0..8.1).contains(&(phantom / window)), "{phantom} {window}");
        assert!((45.0..55.0).contains(&(implicit / window)), "{implicit} {window}");
    }

    #[test]
    fn many_cores_wait_for_one_another_in_a_small_step() {
        // As measured on 16 cores: 1.9 ms.
        assert!((1.6e-3..2.3e-3).contains(&expected(4, "").cpu));
        assert!(expected(4, "").favours_gpu(8000) && !expected(4, "").favours_gpu(2000));
    }
}
