//! Checks of baselines.

use looped_core::{Baseline, Prompt, Rng};

const POINTS: usize = 9;

/// Loops of the model that isn't there.
const LOOPS: usize = 4;

/// One finite prediction per point, 0 for the first; the same in every call; and each from its own x and the points
/// before it alone: other values there, or another length of the prompt, change nothing before them.
///
/// One that takes a step for each loop of a model is looked at after some loops, and all that it says at the earlier ones must be of the right length.
pub fn baseline_is_causal(baseline: &dyn Baseline) {
    for dims in [1, 3] {
        let xs = Rng::stream(11, "xs", 0).normals(POINTS * dims);
        let ys = Rng::stream(11, "ys", 0).normals(POINTS);
        let predict = |xs: &[f32], ys: &[f32]| predictions(baseline, Prompt { xs, ys, dims });
        let whole = predict(&xs, &ys);
        assert_eq!(whole.len(), POINTS, "{POINTS} points need as many predictions");
        assert!(whole.iter().all(|v| v.is_finite()), "a prediction isn't finite: {whole:?}");
        assert_eq!(whole[0], 0.0, "the first prediction, from no points, isn't 0");
        assert_eq!(whole, predict(&xs, &ys), "a second call gives other predictions");
        for i in 0..POINTS {
            let (mut other_xs, mut other_ys) = (xs.clone(), ys.clone());
            other_xs[(i + 1) * dims..].fill(0.25);
            other_ys[i..].fill(-7.0);
            let others = predict(&other_xs, &other_ys);
            let cut = predict(&xs[..(i + 1) * dims], &ys[..=i]);
            for (what, changed) in [("value", others[i]), ("number", cut[i])] {
                assert!(
                    (changed - whole[i]).abs() <= 1e-5 * (1.0 + whole[i].abs()),
                    "prediction {i} depends on the {what} of the points from {i} on: it changes from {} to {changed}",
                    whole[i]
                );
            }
        }
    }
}

fn predictions(baseline: &dyn Baseline, prompt: Prompt<'_>) -> Vec<f32> {
    let Some(by_loop) = baseline.by_loop() else { return baseline.predict(prompt).unwrap() };
    let mut after = by_loop.predict_each(prompt, LOOPS).unwrap();
    assert_eq!(after.len(), LOOPS, "{LOOPS} loops need as many rows of predictions");
    assert!(after.iter().all(|row| row.len() == prompt.ys.len()), "a row isn't as long as the prompt");
    let earlier = by_loop.predict_each(prompt, LOOPS - 1).unwrap();
    assert_eq!(earlier, after[..LOOPS - 1], "what comes before depends on the number of loops");
    after.pop().unwrap()
}
