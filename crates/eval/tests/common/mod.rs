//! What the tests share: a task, and models that need no training.
#![allow(dead_code, reason = "no test file uses all of it")]

use looped_core::{
    Baseline, ByLoop, Objective, Predictions, Predictor, Prompt, Prompts, Request, Result, Rng, Task, typetag,
};
use serde::{Deserialize, Serialize};

/// y = w . x, w and x standard normal; or its sign.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Linear {
    pub(crate) sign: bool,
}

pub(crate) const LINEAR: Linear = Linear { sign: false };
pub(crate) const SIGN: Linear = Linear { sign: true };

#[typetag::serde(name = "linear_for_tests")]
impl Task for Linear {
    fn sample(&self, request: Request, rng: &mut Rng) -> Result<Prompts> {
        let Request { prompts, points, dims, n_dims, .. } = request;
        let (mut xs, mut ys) = (Vec::new(), Vec::new());
        for _ in 0..prompts {
            let w = rng.normals(dims);
            for _ in 0..points {
                let x = rng.normals(dims);
                let y: f32 = w.iter().zip(&x).map(|(w, x)| w * x).sum();
                ys.push(if self.sign { y.signum() } else { y });
                xs.extend(x);
                xs.extend(std::iter::repeat_n(0.0, n_dims - dims));
            }
        }
        Ok(Prompts::pairs(xs, ys, [prompts, points, n_dims]))
    }

    fn objective(&self) -> Objective {
        if self.sign { Objective::CrossEntropy } else { Objective::SquaredError }
    }
}

/// Predicts `value` / loop, whatever the prompt.
pub(crate) struct Constant(pub(crate) f32);

impl Predictor for Constant {
    fn predict(&self, prompts: &Prompts, loops: usize) -> Result<Predictions> {
        let values = (0..loops)
            .flat_map(|l| vec![self.0 / (l + 1) as f32; prompts.prompts * prompts.points])
            .collect();
        Ok(Predictions { values, width: 1, loops, prompts: prompts.prompts, points: prompts.points })
    }
}

/// Standard normal prompts with their own w each.
pub(crate) fn linear_prompts(prompts: usize, points: usize, dims: usize, seed: u64) -> Prompts {
    let request =
        Request { prompts, points, dims, n_dims: dims, first: 0, split: looped_core::Split::Evaluation };
    LINEAR.sample(request, &mut Rng::stream(seed, "test prompts", 0)).unwrap()
}

/// A baseline's predictions for one prompt.
pub(crate) fn predict(baseline: &dyn Baseline, xs: &[f32], ys: &[f32]) -> Vec<f32> {
    baseline.predict(Prompt { xs, ys, dims: xs.len() / ys.len() }).unwrap()
}

/// Fails on prompts of `at` points whose first y is positive: on half of them.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Failing {
    pub(crate) at: usize,
}

#[typetag::serde(name = "failing_for_tests")]
impl Baseline for Failing {
    fn name(&self) -> String {
        "failing".into()
    }

    fn predict(&self, prompt: Prompt<'_>) -> Result<Vec<f32>> {
        if prompt.ys.len() == self.at && prompt.ys[0] > 0.0 {
            return Err(looped_core::Error::Data(format!("no fit for y = {}", prompt.ys[0])));
        }
        Ok(vec![0.0; prompt.ys.len()])
    }
}

/// Predicts `value` / loop as [`Constant`] does, in each of the model's loops but the last `missing` ones.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ByLoops {
    pub(crate) value: f32,
    pub(crate) missing: usize,
}

#[typetag::serde(name = "by_loops_for_tests")]
impl Baseline for ByLoops {
    fn name(&self) -> String {
        "by_loops".into()
    }

    fn predict(&self, _: Prompt<'_>) -> Result<Vec<f32>> {
        Err(looped_core::Error::Data("nobody asks for this".into()))
    }

    fn by_loop(&self) -> Option<&dyn ByLoop> {
        Some(self)
    }
}

impl ByLoop for ByLoops {
    fn predict_each(&self, prompt: Prompt<'_>, loops: usize) -> Result<Vec<Vec<f32>>> {
        let after = |index| vec![self.value / (index + 1) as f32; prompt.ys.len()];
        Ok((0..loops - self.missing).map(after).collect())
    }
}
