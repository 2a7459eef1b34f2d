//! Plans a sweep, runs it and compares what came of it: `cargo run -p looped --example sweep`.

use std::path::Path;

use looped::config::sweep::Sweep;
use looped::prelude::*;
use looped::study::sweep::{InThreads, Plan, SweepFolder, SweepOutcome, carry_out};
use looped::study::{Comparison, ReportContext};

const QUICKSTART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../experiments/quickstart.toml");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out = std::env::temp_dir().join(format!("looped-sweep-{}", std::process::id()));
    let arguments =
        ["model.n_embd=[16, 32]", "training.train_steps=100", "evaluation.prompts=64"].map(str::to_owned);
    // `Sweep::read` takes a file with named variants; this is a grid of one axis.
    let (sweep, settings) = Sweep::from_arguments(Path::new(QUICKSTART), &arguments, vec![0, 1])?;
    let plan = Plan::new(&sweep, &settings, &out)?;
    let folder = SweepFolder::take(&plan, &sweep)?;
    // In threads of this program, two at a time; `LocalProcesses` starts `looped` processes.
    if let SweepOutcome::Done(failed) = carry_out(&plan, &InThreads::new(2, Device::Cpu), &mut ()) {
        println!("{} runs, {} of them failed", plan.runs.len(), failed.len());
    }
    let comparison = Comparison::of(&plan.finished())?;
    comparison.publish(&folder.report(), &ReportContext::default())?;
    println!("{}", comparison.tables());
    Ok(())
}
