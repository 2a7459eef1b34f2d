//! The task `part_name`: a starting point that trains. Change its settings, its functions and this text to yours.

use looped_core::{ModelDims, Problems, Prompts, Request, Result, Rng, Task};
use looped_core::{register, schemars, typetag};
use looped_tasks::{Function, FunctionClass, sample};
use serde::{Deserialize, Serialize};

/// y = w.x where that is positive, and `slope` times it elsewhere; w ~ N(0, I) and x ~ N(0, I).
///
/// With slope 1 this is linear regression; with slope 0 half of the points say nothing but a sign.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PartName {
    /// What negative values are multiplied by (-10 to 10).
    #[serde(default = "half")]
    #[schemars(range(min = -10, max = 10))]
    pub slope: f64,
}

const fn half() -> f64 {
    0.5
}

#[typetag::serde(name = "part_name")]
impl Task for PartName {
    fn validate(&self, _: &ModelDims, problems: &mut Problems) {
        problems.require_in(self.slope, -10.0..=10.0, "slope");
    }

    /// xs (prompts, points, n_dims) and ys (prompts, points). A task that isn't a function of standard normal x fills
    /// them itself, with all its randomness from `rng`.
    fn sample(&self, request: Request, rng: &mut Rng) -> Result<Prompts> {
        sample(self, request, rng)
    }

    /// Reported errors are divided by this, so that predicting 0 has about 1: the mean of y^2.
    fn normaliser(&self, dims: usize) -> f64 {
        dims as f64 * (1.0 + self.slope * self.slope) / 2.0
    }
}

/// How an f is drawn, apart from where it is evaluated: so the task `shifted` can ask it elsewhere.
#[typetag::serde(name = "part_name")]
impl FunctionClass for PartName {
    fn draw(&self, dims: usize, rng: &mut Rng) -> Function {
        let w: Vec<f64> = (0..dims).map(|_| rng.normal()).collect();
        let slope = self.slope;
        Box::new(move |x| {
            let along: f64 = w.iter().zip(x).map(|(w, &x)| w * f64::from(x)).sum();
            if along > 0.0 { along } else { slope * along }
        })
    }
}

register!(Task, "part_name", PartName);
