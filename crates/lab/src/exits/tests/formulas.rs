//! The numbers that rules look at, each by its formula.

use looped_core::Stretch;

use super::*;

/// [`Halving`] with a gate that stops with probability 1/2, 3/4 and 1/3 after the first three loops, at the last query of the first prompt. Elsewhere it
/// is sure to go on.
struct Gated;

impl Stateful for Gated {
    fn width(&self) -> usize {
        Halving.width()
    }

    fn looping(&self, prompts: &Prompts, loops: usize) -> Result<Looping<'_>> {
        Halving.looping(prompts, loops)
    }
}

impl Predictor for Gated {
    fn predict(&self, prompts: &Prompts, loops: usize) -> Result<Predictions> {
        Halving.predict(prompts, loops)
    }

    fn gates(&self, prompts: &Prompts, loops: usize) -> Result<Option<Vec<f32>>> {
        let mut logits = vec![f32::NEG_INFINITY; loops * prompts.ys.len()];
        for (index, logit) in [0.0, 3f32.ln(), -(2f32.ln())].into_iter().enumerate() {
            logits[index * prompts.ys.len() + prompts.points - 1] = logit;
        }
        Ok(Some(logits))
    }
}

#[test]
fn the_numbers_of_each_rule_are_those_of_its_formula() {
    let (plan, task) = (plan(3), LinearRegression {});
    let prompts = plan.eval.draw(&task, 0, plan.eval.prompts).unwrap();
    let stretch = Stretch { whole: &(), before: 0, total: 1 };
    let measuring = signals::Measuring { model: &Gated, device: &Device::Cpu, task: &task, loops: 3 };
    let seen = measuring.look(&prompts, &plan.eval, &stretch).unwrap();
    let names: Vec<&str> = seen.signals.iter().map(|signal| signal.name.as_str()).collect();
    assert_eq!(names, ["prediction", "state", "acceleration", "context", "gate"]);
    // After loop l the prediction is y (1 - 2^-l). Relative to the size of y, the root of the three dimensions.
    let size = 3f64.sqrt();
    let close = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    for i in 0..prompts.prompts {
        let ys: Vec<f64> = prompts.get(i).1.iter().map(|&y| f64::from(y)).collect();
        let (query, examples) = ys.split_last().unwrap();
        let spread = (examples.iter().map(|y| y * y).sum::<f64>() / examples.len() as f64).sqrt();
        let of = |signal: usize| &seen.signals[signal].values[i];
        assert!(of(0)[0].is_nan(), "before the first loop there is no prediction");
        for (index, left) in [0.5, 0.25, 0.125].into_iter().enumerate() {
            if index > 0 {
                close(of(0)[index], query.abs() * left / size);
            }
            close(of(3)[index], spread * left / size);
        }
        let goes_on = if i == 0 { [1.0 / 2.0, 1.0 / 8.0, 1.0 / 12.0] } else { [1.0; 3] };
        of(4).iter().zip(goes_on).for_each(|(&found, expected)| close(found, expected));
    }
}
