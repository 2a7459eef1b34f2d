//! Watches a run step by step, and ends it early: `cargo run -p looped --example callback -- DIR`.

use std::path::PathBuf;
use std::sync::Arc;

use looped::prelude::*;
use looped::train::{Observer, Outcome, RunDir, train};

const QUICKSTART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../experiments/quickstart.toml");

/// The mean loss of the last steps, newer ones counting more.
struct Watch {
    smooth: Option<f64>,
}

impl Observer for Watch {
    fn stepped(&mut self, step: usize, loss: f64) {
        let smooth = self.smooth.map_or(loss, |smooth| 0.9 * smooth + 0.1 * loss);
        self.smooth = Some(smooth);
        if step.is_multiple_of(10) {
            println!("step {step}: loss {loss:.3}, smooth {smooth:.3}");
        }
    }

    fn wants_stop(&self) -> bool {
        self.smooth.is_some_and(|smooth| smooth < 0.5)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let scratch = std::env::temp_dir().join(format!("looped-callback-{}", std::process::id()));
    let folder = std::env::args_os().nth(1).map_or(scratch, PathBuf::from);
    let settings = ["training.train_steps=100".to_owned()];
    let experiment = looped::config::load(QUICKSTART, &settings)?.experiment;
    // The run directory: config, metrics, checkpoints; `looped resume` and `looped eval` take it from here.
    let run = RunDir::create(&folder, &experiment.to_toml()?)?;
    let mut trainer = Trainer::new(Arc::new(experiment), &Device::Cpu)?;
    match train(&mut trainer, &run, &mut Watch { smooth: None })? {
        Outcome::Finished => println!("all {} steps done: {}", trainer.steps_done(), folder.display()),
        Outcome::Stopped => println!("good after {} steps: {}", trainer.steps_done(), folder.display()),
    }
    Ok(())
}
