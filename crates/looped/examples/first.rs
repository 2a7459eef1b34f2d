//! Builds a looped model, trains it, scores it and asks it: `cargo run -p looped --example first`.

use std::sync::Arc;

use looped::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let experiment = Experiment::from_toml(
        r#"
        name = "first"
        task = { type = "linear_regression" }
        model = { n_dims = 2, n_positions = 7, n_embd = 16, n_layer = 1, block = { type = "transformer", n_head = 2 }, injector = { type = "full" } }
        [training]
        batch_size = 32
        learning_rate = 3e-3
        train_steps = 100
        n_loop_window = 2
        [training.curriculum]
        dims = { start = 2, end = 2, inc = 0, interval = 1 }
        points = { start = 7, end = 7, inc = 0, interval = 1 }
        loops = { start = 2, end = 4, inc = 1, interval = 20 }
        "#,
    )?;
    let mut trainer = Trainer::new(Arc::new(experiment), &Device::Cpu)?;
    while !trainer.is_done() {
        trainer.step()?;
    }

    // 128 fresh prompts of 7 points in 2 of 2 dimensions, 4 loops, seed 1.
    let plan = EvalPlan { prompts: 128, ..EvalPlan::new(7, 2, 2, 4, 1) };
    let (model, task) = (trainer.model(), trainer.experiment().task.as_ref());
    println!("{}", evaluate(model, task, &plan, &linear_baselines(), &())?.table());

    // y = 2 a - b at (a, b) = (1, 0), (0, 1), (1, 1): each y is predicted from the points before it.
    let xs = vec![1.0, 0.0, 0.0, 1.0, 1.0, 1.0];
    let prompt = Prompts::pairs(xs, vec![2.0, -1.0, 1.0], [1, 3, 2]);
    println!("after 4 loops: {:?}", model.predict(&prompt, 4)?.after(3));
    Ok(())
}
