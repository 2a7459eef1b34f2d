//! A learning rate and a curriculum of your own, step by step: `cargo run -p looped --example own_schedule`.

use std::sync::Arc;

use looped::prelude::*;

const QUICKSTART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../experiments/quickstart.toml");
const STEPS: usize = 60;

/// Up to 1e-2 over 10 steps, then down along a cosine.
fn learning_rate(step: usize) -> f64 {
    let warm = (step + 1) as f64 / 10.0;
    let done = step as f64 / STEPS as f64;
    1e-2 * warm.min(1.0) * (1.0 + (std::f64::consts::PI * done).cos()) / 2.0
}

/// Loops at random, so that the model learns to be asked after any of them; points as the loss allows.
fn stage(step: usize, loss: f64) -> Stage {
    let loops = 2 + Rng::stream(7, "loops", step as u64).below(5);
    let points = if loss < 4.0 { 11 } else { 6 };
    Stage { dims: 3, points, loops }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let experiment = looped::config::load(QUICKSTART, &[])?.experiment;
    let mut trainer = Trainer::new(Arc::new(experiment), &Device::Cpu)?;
    let mut loss = f64::INFINITY;
    for step in 0..STEPS {
        trainer.set_learning_rate(learning_rate(step));
        let report = trainer.step_at(stage(step, loss))?;
        loss = report.loss;
        if step % 10 == 0 {
            println!("step {step}: {:?}, loss {loss:.3}", report.stage);
        }
    }
    Ok(())
}
