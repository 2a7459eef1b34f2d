//! The built-in function classes: one file each.

use looped_core::{Prompts, Request, Result, Rng, Task, schemars, typetag};
use serde::{Deserialize, Serialize};

/// y = w.x.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinearRegression {}

#[typetag::serde(name = "linear_regression")]
impl Task for LinearRegression {
    fn sample(&self, request: Request, rng: &mut Rng) -> Result<Prompts> {
        let Request { prompts, points, dims, n_dims, .. } = request;
        let (mut xs, mut ys) = (vec![], vec![]);
        for _ in 0..prompts {
            let w = rng.normals(dims);
            for _ in 0..points {
                let x = rng.normals(dims);
                ys.push(x.iter().zip(&w).map(|(x, w)| x * w).sum());
                xs.extend(x);
                xs.resize(xs.len() + n_dims - dims, 0.0);
            }
        }
        Ok(Prompts { xs, ys, prompts, points, n_dims })
    }
}

looped_core::register!(Task, "linear_regression", LinearRegression);
