//! `looped check`: is an experiment valid, and what will it cost?

use looped_train::{Cost, available_memory};

use crate::args::ExperimentArgs;
use crate::commands::run::load;
use crate::failure::{Failure, Outcome};

pub(crate) fn check(args: &ExperimentArgs) -> Outcome {
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
