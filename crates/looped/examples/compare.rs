//! Compares runs: `cargo run -p looped --example compare`.

use std::sync::Arc;

use looped::prelude::*;
use looped::study::{self, Comparison, ReportContext};

const QUICKSTART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../experiments/quickstart.toml");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let place = std::env::temp_dir().join(format!("looped-compare-{}", std::process::id()));
    let mut runs = Vec::new();
    for (name, window) in [("all loops", 8), ("last 4 loops", 4)] {
        for seed in [0, 1] {
            let settings = ["training.train_steps=100", "evaluation.prompts=64"].map(str::to_owned);
            let mut experiment = looped::config::load(QUICKSTART, &settings)?.experiment;
            (experiment.name, experiment.seed) = (name.to_owned(), seed);
            experiment.training.n_loop_window = window;
            let folder = place.join(format!("{name} {seed}"));
            study::run(Arc::new(experiment), &folder, &Device::Cpu, &mut ())?;
            runs.push(folder);
        }
    }
    // Runs that differ in nothing but their seed are one variant.
    let comparison = Comparison::of(&runs)?;
    println!("{}", comparison.tables());
    comparison.publish(&place.join("comparison"), &ReportContext::default())?;
    println!("{}", place.join("comparison/report.html").display());
    Ok(())
}
