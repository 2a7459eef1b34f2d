//! The task passes the checks that looped's own pass.

use looped_core::{Request, Result, Rng, Split, Task};
use looped_testing::{is_registered, round_trips, task_is_seeded};
use part_name::PartName;

/// The same seed gives the same prompts, another seed others; shapes hold, and coordinates not in use are 0.
#[test]
fn its_prompts_come_from_the_seed_alone() {
    task_is_seeded(&PartName { slope: 0.5 });
}

/// Over 4000 prompts of 5 points in 3 dimensions, to about 5 standard errors.
#[test]
fn its_normaliser_is_the_mean_of_y_squared() -> Result<()> {
    let task = PartName { slope: -0.5 };
    let request = Request { prompts: 4000, points: 5, dims: 3, n_dims: 4, first: 0, split: Split::Train };
    let ys = task.sample(request, &mut Rng::stream(1, "moments", 0))?.ys;
    let mean = ys.iter().map(|&y| f64::from(y).powi(2)).sum::<f64>() / ys.len() as f64;
    let expected = task.normaliser(3);
    assert!((mean / expected - 1.0).abs() < 0.08, "{mean}, expected about {expected}");
    Ok(())
}

#[test]
fn its_table_reads_back_and_is_documented() {
    let table = r#"{"type":"part_name","slope":0.25}"#;
    round_trips::<dyn Task>(table);
    is_registered::<dyn Task>(table);
}
