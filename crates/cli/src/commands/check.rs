//! `looped check`: is an experiment, or every run of a sweep, valid, and what will it cost?

use looped_config::sweep::Sweep;
use looped_report::table::{Column, Table};
use looped_study::sweep::Plan;
use looped_train::{Cost, available_memory};

use crate::args::ExperimentArgs;
use crate::commands::run::load;
use crate::failure::{Failure, Outcome};

pub(crate) fn check(args: &ExperimentArgs) -> Outcome {
    if Sweep::is_at(&args.experiment) { check_sweep(args) } else { check_experiment(args) }
}

/// A row for each variant.
fn check_sweep(args: &ExperimentArgs) -> Outcome {
    let sweep = Sweep::read(&args.experiment).map_err(Failure::usage)?;
    // The runs are planned for a folder that isn't there: each is new.
    let plan = Plan::new(&sweep, &args.overrides, &args.experiment.join("nowhere"))?;
    plan.notes.iter().for_each(|note| eprintln!("note: {note}"));
    let mut table = Table::new([
        Column::left("variant"),
        Column::right("parameters"),
        Column::right("FLOPs a run"),
        Column::right("memory a run"),
    ]);
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
    }
    print!("{}", table.text());
    println!();
    let (runs, seeds) = (plan.runs.len(), sweep.seeds.len());
    println!("# runs: {runs}, each variant with {seeds} seeds");
    println!("# FLOPs of all runs: {flops:.3e}");
    Ok(())
}

fn check_experiment(args: &ExperimentArgs) -> Outcome {
    let experiment = load(args)?;
    let cost = Cost::of(&experiment)?;
    print!("{}", experiment.to_toml().map_err(Failure::failed)?);
    println!();
    // As comments, so that the whole is a valid experiment file.
    let backbone = cost.backbone as f64 / 1e6;
    println!(
        "# parameters: {}, the backbone {backbone:.2} M of them; and {} of positions",
        cost.parameters, cost.positions
    );
    println!("# FLOPs of the whole training: {:.3e}", cost.flops);
    println!("# peak memory, estimated: {}B", short(cost.memory));
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

/// Three digits and a decimal prefix.
fn short(value: f64) -> String {
    let scale = [(1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")];
    match scale.into_iter().find(|&(size, _)| value >= size) {
        Some((size, prefix)) => format!("{:.2}{prefix}", value / size),
        None => format!("{value:.0} "),
    }
}
