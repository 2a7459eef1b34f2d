//! `looped check`: is an experiment, a run, or every run of a sweep valid, and what will it cost?

use std::path::PathBuf;

use looped_config::Engine;
use looped_config::sweep::Sweep;
use looped_report::table::{Column, Table};
use looped_study::sweep::Plan;
use looped_train::{Cost, available_memory, device, resolve};
use serde_json::{Value, json};

use crate::args::{CheckArgs, ExperimentArgs};
use crate::commands::run::load;
use crate::failure::{Failure, Outcome};

pub(crate) fn check(args: &CheckArgs) -> Outcome {
    let path = file_of(args);
    if Sweep::is_at(&path) {
        return check_sweep(&path, args);
    }
    let experiment = ExperimentArgs { experiment: path, overrides: args.overrides.clone() };
    check_experiment(&experiment, &args.device.device, args.json)
}

/// What is to be checked; of a run, its config.
fn file_of(args: &CheckArgs) -> PathBuf {
    let config = args.experiment.join("config.toml");
    if config.is_file() { config } else { args.experiment.clone() }
}

/// A row for each variant.
fn check_sweep(path: &std::path::Path, args: &CheckArgs) -> Outcome {
    let sweep = Sweep::read(path)?;
    // The runs are planned for a folder that isn't there: each is new.
    let plan = Plan::new(&sweep, &args.overrides, &path.join("nowhere"))?;
    plan.notes.iter().for_each(|note| eprintln!("note: {note}"));
    let mut table = Table::new([
        Column::left("variant"),
        Column::right("parameters"),
        Column::right("FLOPs a run"),
        Column::right("memory a run"),
    ]);
    let mut variants: Vec<Value> = Vec::new();
    let mut flops = 0.0;
    for variant in &plan.variants {
        let cost = Cost::of(&variant.experiment)?;
        flops += cost.flops * variant.seeds as f64;
        table.push([
            variant.experiment.name.clone(),
            cost.parameters.to_string(),
            format!("{:.3e}", cost.flops),
            format!("{}B", short(cost.memory)),
        ]);
        variants.push(json!({
            "name": variant.experiment.name,
            "seeds": variant.seeds,
            "parameters": cost.parameters,
            "flops": cost.flops,
            "memory_bytes": cost.memory,
        }));
    }
    let (runs, seeds) = (plan.runs.len(), sweep.seeds.len());
    if args.json {
        return print_json(&json!({ "runs": runs, "flops": flops, "variants": variants }));
    }
    print!("{}", table.text());
    println!();
    println!("# runs: {runs}, each variant with {seeds} seed{}", if seeds == 1 { "" } else { "s" });
    println!("# FLOPs of all runs: {flops:.3e}");
    Ok(())
}

fn check_experiment(args: &ExperimentArgs, device_name: &str, as_json: bool) -> Outcome {
    let mut experiment = load(args)?;
    let cost = Cost::of(&experiment)?;
    let text = experiment.to_toml().map_err(Failure::failed)?;
    // The printed config stays as open as the file is: another machine would settle it otherwise.
    let why_not_fused = resolve(&mut experiment, &device(device_name)?);
    let engine = if experiment.training.engine == Engine::Fused { "fused" } else { "candle" };
    if as_json {
        return print_json(&json!({
            "experiment": experiment,
            "parameters": cost.parameters,
            "backbone": cost.backbone,
            "positions": cost.positions,
            "flops": cost.flops,
            "memory_bytes": cost.memory,
            "engine": engine,
            "why_not_fused": why_not_fused,
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
    println!("# peak memory, estimated: {}B", short(cost.memory));
    match why_not_fused {
        Some(why) => println!("# engine: {engine} (not fused: {why})"),
        None => println!("# engine: {engine}"),
    }
    if let Some(available) = available_memory().map(|bytes| bytes as f64).filter(|&bytes| cost.memory > bytes)
    {
        eprintln!(
            "warning: this experiment needs about {}B of memory; this machine has {}B free",
            short(cost.memory),
            short(available)
        );
    }
    Ok(())
}

fn print_json(value: &Value) -> Outcome {
    println!("{}", serde_json::to_string_pretty(value).map_err(Failure::failed)?);
    Ok(())
}

/// Three digits and a decimal prefix.
fn short(value: f64) -> String {
    let scale = [(1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")];
    match scale.into_iter().find(|&(size, _)| value >= size) {
        Some((size, prefix)) => format!("{:.2}{prefix}", value / size),
        None => format!("{value:.0} "),
    }
}
