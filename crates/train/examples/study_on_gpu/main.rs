//! Trains an experiment on a GPU with the kernels of `crates/gpu`: a bench of the plan for a CUDA engine, not product code.
//! It shows what a whole run costs and learns; `looped run` doesn't use these kernels yet.
//!
//! ```text
//! study_on_gpu EXPERIMENT [KEY=VALUE ...] --out FOLDER [--way bf16] [--seconds S] [--decay STEP] [--compare N] [--and ...]
//! ```
//!
//! Parameters and prompts are those of `looped run` with the same file, to the bit; the curriculum, Adam and the loss are
//! the same. One transformer block, the injectors `full` and `last_n` (add) and the squared error are all that's there.
//! FOLDER gets `metrics.jsonl`, `model.safetensors` (also every 5000 steps), and `study_on_gpu.json`. The weights can then be
//! imported: `looped import FOLDER/model.safetensors EXPERIMENT --out RUN`.
//!
//! A way is f32, tf32 or bf16 and what may follow it, as the example `gpu_step` of `crates/gpu` lists them.
//! `--compare N` runs the first N steps on the CPU too and tells how far the losses are apart; `--seconds S` stops there.
//! From `--decay STEP` on the learning rate falls linearly to 0 at the last step. Weights may come from a file, by the setting
//! `model.pretrained_path`; Adam's moments start at 0 all the same. After `--and` stands another run: all of them are trained
//! side by side on one card, each on a thread of its own, and to the same bits as alone.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench: what goes wrong stops it")]

#[allow(dead_code, reason = "shared with the bench of one step")]
#[path = "../../../gpu/examples/gpu_step/model.rs"]
mod model;
#[allow(dead_code, reason = "shared with the bench of one step")]
#[path = "../../../gpu/examples/gpu_step/operations.rs"]
mod operations;
#[path = "../../../gpu/examples/gpu_step/ways.rs"]
mod ways;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

use candle_core::{Device as HostDevice, Tensor};
use looped_blocks as _;
use looped_config::Experiment;
use looped_core::{LoopNorm, Objective, Positions, Request, Rng, Split};
use looped_curriculum::Stage;
use looped_gpu::{Arena, Device, Options as ProgramOptions, Program};
use looped_tasks as _;
use looped_train::{Trainer, encode};
use model::{Shape, interleave};
use operations::Step;
use serde_json::{Value, json};
use ways::ways;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const SAVE_EVERY: usize = 5000;

struct Options {
    experiment: PathBuf,
    overrides: Vec<String>,
    out: PathBuf,
    way: String,
    seconds: f64,
    decay: usize,
    compare: usize,
}

impl Options {
    fn read(arguments: &[String]) -> Result<Self> {
        let (mut flags, mut words) = (BTreeMap::new(), Vec::new());
        let mut arguments = arguments.iter().cloned();
        while let Some(word) = arguments.next() {
            match word.strip_prefix("--") {
                Some(flag) => {
                    flags.insert(flag.to_owned(), arguments.next().ok_or(format!("--{flag} needs a value"))?);
                }
                None => words.push(word),
            }
        }
        let mut flag = |name: &str, default: &str| flags.remove(name).unwrap_or_else(|| default.to_owned());
        let options = Self {
            out: PathBuf::from(flag("out", "")),
            way: flag("way", "bf16"),
            seconds: flag("seconds", "1e9").parse()?,
            decay: flag("decay", &usize::MAX.to_string()).parse()?,
            compare: flag("compare", "0").parse()?,
            experiment: PathBuf::from(words.first().ok_or("which experiment?")?),
            overrides: words[1..].to_vec(),
        };
        match flags.keys().next() {
            Some(unknown) => Err(format!("--{unknown} is unknown").into()),
            None if options.out.as_os_str().is_empty() => Err("--out FOLDER is missing".into()),
            None => Ok(options),
        }
    }
}

/// What differs between stages, and the model's own sizes; refuses what the kernels don't do.
fn shape_of(experiment: &Experiment, stage: Stage) -> Result<Shape> {
    let (model, training) = (&experiment.model, &experiment.training);
    let block = serde_json::to_value(&model.block)?;
    let injector = serde_json::to_value(&model.injector)?;
    let heads = block["n_head"].as_u64().filter(|_| block["type"] == "transformer" && model.n_layer == 1);
    let adds = injector.get("operation").is_none_or(|operation| operation == "add");
    let injects = adds && ["full", "last_n"].map(Value::from).contains(&injector["type"]);
    let squared = experiment.task.objective() == Objective::SquaredError;
    let whole = training.n_loss_loops.is_none_or(|counted| counted == training.n_loop_window);
    let plain = model.prelude.is_empty()
        && model.coda.is_empty()
        && (model.positions, model.loop_norm) == (Positions::EachLoop, LoopNorm::Layer);
    // Adam at one rate, the curriculum's loops, the loss over the window's: all else is left out in the file.
    let usual = training.optimizer.is_none()
        && training.schedule.is_none()
        && training.ema.is_none()
        && training.depth.is_none()
        && training.skip_non_finite == 0
        && training.unroll.is_none()
        && training.loss.is_none()
        && training.regularizers.is_empty();
    let heads = heads.filter(|_| injects && squared && whole && plain && usual).ok_or(
        "one transformer block, full or last_n, squared error over the whole window, training as it is by default: no more is here",
    )?;
    Ok(Shape {
        width: model.n_embd,
        heads: usize::try_from(heads)?,
        dims: model.n_dims,
        batch: training.batch_size,
        // No prediction needs the last y.
        tokens: 2 * stage.points - 1,
        loops: stage.loops,
        window: training.n_loop_window.min(stage.loops),
        positions: 2 * model.n_positions + 1,
        kept_from: looped_graph::unchanging_tokens(&model.graph()?, 2 * stage.points),
    })
}

/// A step's tokens and targets.
type Batch = (Vec<f32>, Vec<f32>);

/// Draws every step's prompts as `looped run` does, a few steps ahead, on a thread of its own.
fn drawn(experiment: &Arc<Experiment>) -> Receiver<Result<Batch>> {
    let (send, receive) = sync_channel(4);
    let experiment = Arc::clone(experiment);
    std::thread::spawn(move || {
        let draw = |stage: Stage, step: usize| -> Result<Batch> {
            let index = step as u64;
            let prompts = experiment.training.batch_size;
            let request = Request {
                prompts,
                points: stage.points,
                dims: stage.dims,
                n_dims: experiment.model.n_dims,
                first: index * prompts as u64,
                split: Split::Train,
            };
            let mut rng = Rng::stream(experiment.seed, "training prompts", index);
            let prompts = experiment.task.sample(request, &mut rng)?;
            let tokens = interleave(shape_of(&experiment, stage)?, &prompts.xs, &prompts.ys);
            Ok((tokens, prompts.ys))
        };
        let training = &experiment.training;
        for (stage, steps) in training.curriculum.stages(training.train_steps) {
            for step in steps {
                if send.send(draw(stage, step)).is_err() {
                    return;
                }
            }
        }
    });
    receive
}

/// The parameters on the device, by name.
fn parameters(step: &Step, arena: &Arena) -> Result<BTreeMap<String, Tensor>> {
    let named = step.shape.parameters().into_iter().zip(step.parts(step.parameters));
    let tensor = |((name, sides), span): ((&str, Vec<usize>), _)| {
        Ok((name.to_owned(), Tensor::from_vec(arena.read_floats(span)?, sides, &HostDevice::Cpu)?))
    };
    named.map(tensor).collect()
}

/// The experiment's parameters at step 0, in the order of the device's buffers.
fn initial(trainer: &Trainer, shape: Shape) -> Result<Vec<Vec<f32>>> {
    let store = trainer.model().parameters();
    let values = store.values();
    let found = shape.parameters().into_iter().map(|(name, sides)| {
        let own = values.get(name).ok_or(format!("the model has no {name}"))?;
        if own.len() != sides.iter().product::<usize>() {
            return Err(format!("{name} has {} numbers, and isn't {sides:?}", own.len()).into());
        }
        Ok(own.to_vec())
    });
    let found = found.collect::<Result<Vec<_>>>()?;
    let known: usize = shape.parameters().iter().map(|(_, sides)| sides.iter().product::<usize>()).sum();
    if store.count() != known {
        return Err("the model has more parameters than the kernels know".into());
    }
    Ok(found)
}

fn save(step: &Step, arena: &Arena, path: &Path) -> Result<()> {
    Ok(std::fs::write(path, encode(&parameters(step, arena)?)?)?)
}

fn train(options: &Options) -> Result<()> {
    let experiment = Arc::new(looped_config::load(&options.experiment, &options.overrides)?.experiment);
    let training = &experiment.training;
    let (ways, program_options) = ways(&options.way)?;
    let stages: Vec<_> = training.curriculum.stages(training.train_steps).collect();
    let shapes = stages.iter().map(|(stage, _)| shape_of(&experiment, *stage)).collect::<Result<Vec<_>>>()?;
    let mut on_the_cpu = Trainer::new(Arc::clone(&experiment), &HostDevice::Cpu)?;
    let start = initial(&on_the_cpu, shapes[0])?;
    let compared = (0..options.compare).map(|_| Ok(on_the_cpu.step()?.loss)).collect::<Result<Vec<f64>>>()?;
    drop(on_the_cpu);

    std::fs::create_dir_all(&options.out)?;
    let mut metrics = std::io::BufWriter::new(std::fs::File::create(options.out.join("metrics.jsonl"))?);
    let device = Device::open(0)?;
    println!("{}: {}, {}", experiment.name, options.way, device.versions());
    let steps = shapes.iter().map(|shape| Ok(Step::new(*shape, ways)?)).collect::<Result<Vec<_>>>()?;
    let arena = Arena::new(&device, steps.iter().map(|step| step.bytes).max().unwrap_or(0))?;
    let clip = training.gradient_clip.unwrap_or(0.0);
    let settings = |rate: f64| [rate, clip, 0.9, 0.999, 1e-8, training.weight_decay];
    let rate = |index: usize| {
        let left = (training.train_steps - index) as f64;
        let falls = training.train_steps.saturating_sub(options.decay) as f64;
        training.learning_rate * if index < options.decay { 1.0 } else { left / falls }
    };
    steps[0].begin(&arena, &start, &settings(rate(0)))?;
    Program::new(&arena, &steps[0].prepare, ProgramOptions::default())?.run()?;

    let batches = drawn(&experiment);
    let (begun, mut planning, mut farthest, mut done, mut loss) = (Instant::now(), 0.0, 0.0_f64, 0, f32::NAN);
    'stages: for ((stage, range), step) in stages.iter().zip(&steps) {
        let planned = Instant::now();
        let program = Program::new(&arena, &step.operations, program_options)?;
        let mut graph = None;
        planning += planned.elapsed().as_secs_f64();
        for index in range.clone() {
            let (tokens, targets) = batches.recv()??;
            step.feed(&arena, &tokens, &targets)?;
            if index >= options.decay {
                step.set(&arena, &settings(rate(index)))?;
            }
            match &graph {
                // The first step of a stage is run one operation after the other: libraries load what they need then.
                None => {
                    program.run()?;
                    device.wait()?;
                    graph = Some(program.capture(0..program.len())?);
                }
                Some(graph) => graph.replay()?,
            }
            loss = arena.read_floats(step.loss)?[0];
            let norm = arena.read_floats(step.decision)?[0];
            if !loss.is_finite() || !norm.is_finite() {
                return Err(format!("step {index}: loss {loss}, norm of the gradient {norm}").into());
            }
            done = index + 1;
            if let Some(expected) = compared.get(index) {
                let off = (f64::from(loss) / expected - 1.0).abs();
                farthest = farthest.max(off);
                println!("step {index}: loss {loss:.6}, on the CPU {expected:.6}, {off:.1e} apart");
            }
            let seconds = begun.elapsed().as_secs_f64();
            if index % training.log_every_steps == 0 || done == training.train_steps {
                let Stage { dims, points, loops } = *stage;
                let line = json!({
                    "step": index, "loss": loss, "dims": dims, "points": points, "loops": loops,
                    "learning_rate": rate(index), "grad_norm": norm, "seconds": seconds,
                });
                writeln!(metrics, "{line}")?;
            }
            if done.is_multiple_of(SAVE_EVERY) && done < training.train_steps {
                metrics.flush()?;
                save(step, &arena, &options.out.join(format!("model_{done}.safetensors")))?;
            }
            if seconds > options.seconds {
                break 'stages;
            }
        }
        println!(
            "{done:6} steps, {:4} points, {:3} loops: loss {loss:.4}, {:.1} s so far",
            stage.points,
            stage.loops,
            begun.elapsed().as_secs_f64()
        );
    }
    let seconds = begun.elapsed().as_secs_f64();
    metrics.flush()?;
    save(&steps[0], &arena, &options.out.join("model.safetensors"))?;
    let told = json!({
        "experiment": options.experiment, "overrides": options.overrides, "way": options.way,
        "decay_from": (options.decay < training.train_steps).then_some(options.decay),
        "device": device.versions(), "steps": done, "of": training.train_steps, "seconds": seconds,
        "seconds_planning": planning, "compared_steps": compared.len(), "losses_apart": farthest,
    });
    std::fs::write(options.out.join("study_on_gpu.json"), format!("{told:#}\n"))?;
    println!(
        "{}: {done} of {} steps in {seconds:.1} s, loss {loss:.5}",
        options.out.display(),
        training.train_steps
    );
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runs = arguments.split(|word| word == "--and").map(Options::read).collect::<Result<Vec<_>>>();
    let done = runs.and_then(|runs| {
        std::thread::scope(|scope| {
            let started: Vec<_> = runs.iter().map(|run| scope.spawn(|| train(run))).collect();
            // All are waited for: one that fails doesn't stop the others.
            let ended: Vec<Result<()>> = started.into_iter().map(|run| run.join().unwrap()).collect();
            ended.into_iter().collect::<Result<()>>()
        })
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
