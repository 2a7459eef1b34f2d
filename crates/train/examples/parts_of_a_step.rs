//! Times the parts of an experiment's step in this process: what ranks share out, and what each of them does alone. One line of JSON, for
//! `scripts/mpi/cost.py`:
//!
//! ```text
//! cargo run -p cli -p looped-train --example parts_of_a_step -- experiments/quickstart_adam.toml training.threads=1
//! ```
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use candle_core::Device;
use looped_core::{Request, Rng, Split};
use looped_train::Trainer;
use {looped_blocks as _, looped_tasks as _};

/// Steps that are timed.
const STEPS: usize = 9;

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let loaded = looped_config::load(Path::new(&words[0]), &words[1..]).unwrap();
    let experiment = Arc::new(loaded.experiment);
    // The last stage: the longest steps.
    let stage = experiment.stage(experiment.training.train_steps - 1);
    let request = Request {
        prompts: experiment.training.batch_size,
        points: stage.points,
        dims: stage.dims,
        n_dims: experiment.model.n_dims,
        first: 0,
        split: Split::Train,
    };
    let mut trainer = Trainer::new(Arc::clone(&experiment), &Device::Cpu).unwrap();
    let (mut draws, mut gradients, mut updates) = (Vec::new(), Vec::new(), Vec::new());
    for step in 0..=STEPS {
        let begun = Instant::now();
        experiment.task.sample(request, &mut Rng::stream(0, "timed", step as u64)).unwrap();
        let drawn = begun.elapsed().as_secs_f64();
        let found = trainer.gradients(stage).unwrap();
        let both = begun.elapsed().as_secs_f64();
        trainer.apply(found).unwrap();
        let all = begun.elapsed().as_secs_f64();
        // The first step makes what later ones use.
        if step > 0 {
            draws.push(drawn);
            // A gradient draws its own prompts.
            gradients.push(both - 2.0 * drawn);
            updates.push(all - both);
        }
    }
    let found = serde_json::json!({
        "prompts": request.prompts,
        "parameters": trainer.model().parameters().layout().len(),
        "draw_s": median(draws),
        "gradient_s": median(gradients),
        "update_s": median(updates),
    });
    println!("{found}");
}
