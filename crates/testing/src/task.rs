//! Checks of tasks.

use looped_core::{Request, Rng, Split, Task};

/// Prompts have the asked shape, are finite, depend on the generator alone, and use no coordinate beyond `dims`.
pub fn task_is_seeded(task: &dyn Task) {
    let request = Request { prompts: 6, points: 9, dims: 3, n_dims: 5, first: 0, split: Split::Train };
    let draw = |seed| task.sample(request, &mut Rng::stream(seed, "task check", 0)).unwrap();
    let (one, again, other) = (draw(1), draw(1), draw(2));
    assert_eq!((one.prompts, one.points, one.n_dims), (6, 9, 5), "the shape isn't the one asked for");
    assert_eq!((one.xs.len(), one.ys.len()), (6 * 9 * 5, 6 * 9), "the data doesn't have the shape it claims");
    assert!(one.xs.iter().chain(&one.ys).all(|v| v.is_finite()), "a value isn't finite");
    assert_eq!(one, again, "the same seed gives other prompts");
    assert_ne!(one, other, "another seed gives the same prompts");
    let beyond = one.xs.chunks(5).flat_map(|x| &x[3..]).any(|&v| v != 0.0);
    assert!(!beyond, "a coordinate beyond `dims` isn't 0");
}
