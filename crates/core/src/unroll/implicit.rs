//! The gradient of a fixed point, without the way to it (Bai et al., arXiv 1909.01377).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::solver::residuals;
use super::{Body, Solver, StepLoops, StepWork, Unroll};
use crate::{Counting, Problems};

/// The state after all loops is taken for a fixed point z = f(z), and gets that point's gradient (Bai et al., arXiv 1909.01377).
///
/// Forward, all loops but the last only look for the point. Backward, u = g + J^T u is solved for u, g being the loss's gradient with respect
/// to z and J the loop's derivative at it, by vector-Jacobian products; the parameters' gradient is then that of the one last loop under u.
/// So memory is that of one loop (`n_loop_window = 1`) however deep the step is.
///
/// Each logged step has `fixed_point_residual` = ||f(z) - z|| / ||f(z)|| and `adjoint_residual`, the same of u. Where they are large, the gradient
/// isn't that of a fixed point: if u isn't found, the u of least residual is used.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Implicit {
    /// How z and u are looked for.
    #[serde(default)]
    pub solver: Solver,
    /// Most vector-Jacobian products.
    #[serde(default = "products")]
    #[schemars(range(min = 1, max = 10_000))]
    pub products: usize,
    /// The residual at which u counts as found.
    #[serde(default = "tolerance")]
    #[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1))]
    pub tolerance: f64,
}

/// The residual from which on it is said that there is no fixed point.
const UNSETTLED: f64 = 0.1;

const fn products() -> usize {
    20
}

const fn tolerance() -> f64 {
    1e-3
}

#[typetag::serde(name = "implicit")]
impl Unroll for Implicit {
    fn validate(&self, _: usize, window: usize, problems: &mut Problems) {
        let Self { solver, products, tolerance } = *self;
        problems.within("unroll", |problems| {
            solver.validate(problems);
            problems.require_in(products, 1..=10_000, "products");
            problems.require(tolerance > 0.0 && tolerance < 1.0, "tolerance", || {
                format!("is {tolerance}; allowed: above 0, below 1")
            });
        });
        problems.require(window == 1, "n_loop_window", || {
            format!("is {window}, and the unroll `implicit` keeps one loop; allowed: 1")
        });
    }

    fn slots(&self, _: usize, _: usize) -> usize {
        1
    }

    fn work(&self, loops: usize, _: usize) -> StepWork {
        StepWork::pass(loops as f64, 1.0 + self.products as f64)
    }

    fn reaches_first_state(&self, _: usize, _: usize) -> bool {
        false
    }

    fn doubt(&self, notes: &BTreeMap<&'static str, f64>) -> Option<String> {
        let of = |what| notes.get(what).copied().unwrap_or(0.0);
        let (forward, backward) = (of("fixed_point_residual"), of("adjoint_residual"));
        // A number that is none isn't below anything.
        let settled = forward < UNSETTLED && backward < UNSETTLED;
        (!settled).then(|| {
            format!(
                "the loop isn't at a fixed point (residual {forward:.2e} forward, {backward:.2e} backward), so the unroll `implicit` gives \
                 another gradient than the loss's; both stand in metrics.jsonl, under notes"
            )
        })
    }

    fn run(&self, step: &StepLoops, counting: &Counting<'_>, body: &mut dyn Body) -> f64 {
        body.start(false);
        self.approach(step.loops - 1, body);
        let (point, prompts) = (body.state(), body.prompts().len());
        let slot = body.record();
        let image = body.state();
        body.note("fixed_point_residual", &residuals(&point, &image, prompts));
        let mut sum = counting.read(0, 1, slot, body);
        sum += counting.read_joint(1, body);
        sum += step.regularize(body, slot + 1);
        body.join_loss(slot);
        let slope = body.gradient();
        let mut through = |u: &[f32]| {
            body.set_gradient(u);
            body.backward_state(slot);
            let mut next = body.gradient();
            next.iter_mut().zip(&slope).for_each(|(next, slope)| *next += slope);
            next
        };
        let found = self.solver.solve(slope.clone(), prompts, (self.products, self.tolerance), &mut through);
        body.note("adjoint_residual", &found.residuals);
        body.set_gradient(&found.x);
        body.backward(slot);
        body.finish();
        sum
    }
}

impl Implicit {
    /// Goes so many loops towards the fixed point.
    fn approach(&self, loops: usize, body: &mut dyn Body) {
        if self.solver == Solver::Iteration {
            (0..loops).for_each(|_| body.advance());
            return;
        }
        let prompts = body.prompts().len();
        let mut history = Vec::new();
        for _ in 0..loops {
            let before = body.state();
            body.advance();
            history.push([before, body.state()]);
            if history.len() > 20 {
                history.remove(0);
            }
            body.set_state(&self.solver.next(&history, prompts));
        }
    }
}

crate::register!(Unroll, "implicit", Implicit);
