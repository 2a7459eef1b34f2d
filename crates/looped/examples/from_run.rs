//! Takes a trained model from a run directory: `cargo run -p looped --example from_run -- runs/quickstart`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use looped::prelude::*;
use looped::train::{Opened, RunDir, train};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = match std::env::args_os().nth(1) {
        Some(folder) => PathBuf::from(folder),
        None => little_run()?,
    };
    let Opened { trainer, from, .. } = Opened::newest(&folder, &Device::Cpu)?;
    let (model, experiment) = (trainer.model(), trainer.experiment());
    println!("{}: {} steps, {} parameters", from.display(), trainer.steps_done(), model.parameters().count());

    // Far more loops than it was trained with.
    let Stage { dims, points, .. } = experiment.training.curriculum.at(trainer.steps_done());
    let loops = 5 * experiment.training.usual_loops();
    let plan = EvalPlan { prompts: 64, ..EvalPlan::new(points, dims, experiment.model.n_dims, loops, 1) };
    let scores = evaluate(model, experiment.task.as_ref(), &plan, &[], &())?;
    println!("error at the last query, loop by loop: {:.3?}", scores.per_loop.mean);
    Ok(())
}

/// A run of 100 steps, where none is given.
fn little_run() -> Result<PathBuf, Box<dyn std::error::Error>> {
    let quickstart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments/quickstart.toml");
    let experiment = looped::config::load(quickstart, &["training.train_steps=100".to_owned()])?.experiment;
    let folder = std::env::temp_dir().join(format!("looped-from-run-{}", std::process::id()));
    let run = RunDir::create(&folder, &experiment.to_toml()?)?;
    train(&mut Trainer::new(Arc::new(experiment), &Device::Cpu)?, &run, &mut ())?;
    Ok(folder)
}
