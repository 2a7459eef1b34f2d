//! `looped check`: is an experiment, a run, or every run of a sweep valid, and what will it cost?

use std::path::{Path, PathBuf};

use looped_config::Experiment;
use looped_config::sweep::Sweep;
use looped_study::moved_data;
use looped_study::sweep::Plan;
use looped_train::{Cost, EngineChoice, available_memory, device_for, memory_on_gpu, resolve};
use serde_json::json;

use crate::args::{CheckArgs, ExperimentArgs};
use crate::commands::explain;
use crate::commands::plan::{print_json, print_plan, short};
use crate::commands::run::load;
use crate::failure::{Failure, Outcome};

pub(crate) fn check(args: &CheckArgs) -> Outcome {
    let path = file_of(args);
    if Sweep::is_at(&path) {
        if args.explain {
            let what = format!("--explain takes one experiment, and {} is a sweep", path.display());
            return Err(Failure::failed(what));
        }
        return check_sweep(&path, args);
    }
    let experiment = ExperimentArgs { experiment: path, overrides: args.overrides.clone() };
    check_experiment(&experiment, &args.device.device, args)
}

/// What is to be checked; of a run, its config.
fn file_of(args: &CheckArgs) -> PathBuf {
    let config = args.experiment.join("config.toml");
    if config.is_file() { config } else { args.experiment.clone() }
}

/// The directory of the run whose config a file is.
fn run_of(file: &Path) -> Option<&Path> {
    let folder = file.parent()?;
    (file.file_name()? == "config.toml" && folder.join("checkpoints").is_dir()).then_some(folder)
}

/// The experiment of a run. That its data have moved since keeps nobody from reading it, but from evaluating it again.
fn trained(run: &Path, args: &ExperimentArgs) -> Outcome<Experiment> {
    let experiment = looped_config::load_run(&args.experiment, &args.overrides)?.experiment;
    moved_data(run, &experiment).iter().for_each(|problem| eprintln!("warning: {problem}"));
    Ok(experiment)
}

fn check_sweep(path: &Path, args: &CheckArgs) -> Outcome {
    let sweep = Sweep::read(path)?;
    // The runs are planned for a folder that isn't there: each is new.
    print_plan(&Plan::new(&sweep, &args.overrides, &path.join("nowhere"))?, args.output.json)
}

fn check_experiment(at: &ExperimentArgs, device_name: &str, args: &CheckArgs) -> Outcome {
    let mut experiment = match run_of(&at.experiment) {
        Some(run) => trained(run, at)?,
        None => load(at)?,
    };
    let cost = Cost::of(&experiment)?;
    let text = experiment.to_toml().map_err(Failure::failed)?;
    // The printed config stays as open as the file is: another machine would choose otherwise.
    let device = device_for(device_name, &experiment)?;
    let EngineChoice { engine, why: why_not_fused } = resolve(&mut experiment, &device.target)?;
    let on_gpu = if engine.name == "cuda" { Some(memory_on_gpu(&experiment)?) } else { None };
    let without_kernel = engine.without_kernel(&experiment.model.graph()?);
    let engine = engine.name;
    if args.output.json {
        return print_json(&json!({
            "experiment": experiment,
            "parameters": cost.parameters,
            "backbone": cost.backbone,
            "positions": cost.positions,
            "flops": cost.flops,
            "memory_bytes": cost.memory,
            "gpu_memory_bytes": on_gpu,
            "device": device.target.name(),
            "engine": engine,
            "why_not_fused": why_not_fused,
            "without_kernel": without_kernel,
        }));
    }
    print!("{text}");
    println!();
    // As comments, so that the whole is a valid experiment file.
    let backbone = cost.backbone as f64 / 1e6;
    println!(
        "# parameters: {}, of which the backbone has {backbone:.2} M; and {} of positions",
        cost.parameters, cost.positions
    );
    println!("# FLOPs of the whole training: {:.3e}", cost.flops);
    match on_gpu {
        Some(bytes) => println!("# memory of the GPU, besides the driver's own: {}B", short(bytes)),
        None => println!("# peak memory, estimated: {}B", short(cost.memory)),
    }
    match why_not_fused {
        Some(why) => println!("# engine: {engine} (not fused: {why})"),
        None => println!("# engine: {engine}"),
    }
    if on_gpu.is_some() {
        println!("# device: {}", device.words);
    }
    without_kernel.iter().for_each(|operation| println!("# note: {operation}"));
    if let Some(available) =
        available_memory().map(|bytes| bytes as f64).filter(|&bytes| on_gpu.is_none() && cost.memory > bytes)
    {
        eprintln!(
            "warning: this experiment needs about {}B of memory; this machine has {}B free",
            short(cost.memory),
            short(available)
        );
    }
    if args.explain { explain::print(&experiment) } else { Ok(()) }
}
