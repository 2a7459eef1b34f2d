//! Seconds that each baseline takes for a full evaluation: 1280 prompts of 41 points in 20 dimensions.
//!
//! `cargo bench -p looped-eval`; trees and the net are timed on 32 prompts and scaled up.

use std::time::Instant;

use looped_core::{Prompts, Rng};
use looped_eval::{Scores, all_baselines, baseline_predictions, linear_baselines};

fn normal_prompts(prompts: usize, points: usize, n_dims: usize) -> Prompts {
    let mut rng = Rng::stream(0, "bench", 0);
    let xs = rng.normals(prompts * points * n_dims);
    let mut ys = Vec::new();
    for x in xs.chunks(points * n_dims) {
        let w = rng.normals(n_dims);
        ys.extend(x.chunks(n_dims).map(|x| x.iter().zip(&w).map(|(x, w)| x * w).sum::<f32>()));
    }
    Prompts::pairs(xs, ys, [prompts, points, n_dims])
}

fn main() -> looped_core::Result<()> {
    let prompts = normal_prompts(1280, 41, 20);
    println!("1280 prompts of 41 points in 20 dimensions, {} threads", rayon::current_num_threads());
    let linear = linear_baselines().len();
    let mut all_linear = 0.0;
    for (i, baseline) in all_baselines().into_iter().enumerate() {
        let count = if i < linear { 1280 } else { 32 };
        let start = Instant::now();
        let list = [baseline];
        baseline_predictions(&prompts.slice(0..count), &list)?;
        let seconds = start.elapsed().as_secs_f64() * 1280.0 / count as f64;
        println!("{:>14} {seconds:8.2} s", list[0].name());
        if i < linear {
            all_linear += seconds;
        }
    }
    println!("{:>14} {all_linear:8.2} s", "all linear");

    let mut scores = Scores::new(41);
    let mut rng = Rng::stream(0, "scores", 0);
    (0..1280).for_each(|_| scores.push((0..41).map(|_| rng.normal().powi(2)).collect::<Vec<_>>()));
    let start = Instant::now();
    std::hint::black_box(scores.curve(1000, 0));
    println!("{:>14} {:8.3} s", "intervals", start.elapsed().as_secs_f64());
    Ok(())
}
