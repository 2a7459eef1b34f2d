//! Trains an experiment in a directory and evaluates it as it says: `cargo run -p looped --example run -- DIR`.

use std::path::PathBuf;
use std::sync::Arc;

use looped::prelude::*;
use looped::study::{self, RunEnd};
use looped::train::{Observer, Provenance, Record, TrainError};

const QUICKSTART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../experiments/quickstart.toml");

/// Prints every record.
struct Print;

impl Observer for Print {
    fn recorded(&mut self, record: &Record) -> Result<(), TrainError> {
        println!("step {}: loss {:.3}", record.step, record.loss);
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let scratch = std::env::temp_dir().join(format!("looped-run-{}", std::process::id()));
    let folder = std::env::args_os().nth(1).map_or(scratch, PathBuf::from);
    let settings = ["training.train_steps=100", "evaluation.prompts=64"].map(str::to_owned);
    let experiment = looped::config::load(QUICKSTART, &settings)?.experiment;
    match study::run(Arc::new(experiment), &folder, &Device::Cpu, &mut Print)? {
        RunEnd::Finished(evaluation) => println!("{}", evaluation.table()),
        RunEnd::Stopped => println!("stopped; study::resume takes it from there"),
    }
    // `run.json` says which build made the run, where, and by which engine.
    for session in Provenance::read(&folder)?.into_iter().flat_map(|made| made.sessions) {
        println!("from step {}: the {} engine on {}", session.steps_done, session.engine, session.device);
    }
    println!("{}", folder.join("report.html").display());
    Ok(())
}
