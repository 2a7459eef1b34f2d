//! A training loop of your own, from prompts to updates: `cargo run -p looped --example own_loop`.

use std::sync::Arc;

use looped::prelude::*;

const QUICKSTART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../experiments/quickstart.toml");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let experiment = looped::config::load(QUICKSTART, &[])?.experiment;
    let model = Model::of(&experiment, &Device::Cpu)?;
    let rule = Arc::new(AdamW { weight_decay: 0.1, ..AdamW::default() });
    let mut optimizer = Updater::new(rule, model.candle().graph(), model.parameters(), 0.0)?;
    // 4 loops, of which the last 3 carry gradient and the last 2 enter the loss.
    let loops = LoopPlan { loops: 4, window: 3 };
    let plan = StepPlan { loops, loss_loops: 2, objective: Objective::SquaredError };

    for step in 0..30 {
        let n_dims = experiment.model.n_dims;
        let request =
            Request { prompts: 16, points: 8, dims: 3, n_dims, first: 16 * step, split: Split::Train };
        // One stream of random numbers a step: the run can be repeated and resumed from any step.
        let mut rng = Rng::stream(7, "my prompts", step);
        let prompts = experiment.task.sample(request, &mut rng)?;

        let (loss, mut gradients) = model.loss_and_gradients(&prompts, plan)?;
        let norm = global_norm(&gradients);
        clip(&mut gradients, norm, 1.0);
        optimizer.update(model.parameters(), &gradients, 1e-3)?;
        if step % 10 == 0 {
            println!("step {step}: loss {loss:.3}, gradient norm {norm:.3}");
        }
    }
    Ok(())
}
