//! The reference engine as an experiment names it.

use std::sync::Arc;

use candle_core::Device;
use looped_core::{
    Engine, Footprint, Found, Objective, ParamStore, Pass, Precision, Predictions, Predictor, Prompts,
    Result, Runner, Setting, StepLoops, Target, Work, cuda_device, schemars, sum_of_passes,
};
use looped_graph::{Graph, ParamInfo, kept_by_candle};

use crate::{ReferenceModel, Step};

/// candle's operations one by one, on any device that this build of it has.
#[derive(Debug, schemars::JsonSchema)]
pub struct Candle;

looped_core::register!(Engine, "candle", Candle);

impl Engine for Candle {
    fn runs_on(&self, _: &Target) -> bool {
        true
    }

    fn missing(&self, target: &Target) -> Option<String> {
        let missing = target.is_cuda() && !candle_core::utils::cuda_is_available();
        missing.then(|| "it was built without candle's CUDA operations".to_owned())
    }

    fn precisions(&self, target: &Target) -> &'static [Precision] {
        if target.is_cuda() { &[Precision::F32, Precision::Tf32] } else { &[Precision::F32] }
    }

    fn refusal(&self, _: &Graph, _: &StepLoops) -> Option<String> {
        None
    }

    fn footprint(&self, graph: &Graph, work: Work) -> Option<Footprint> {
        Some(footprint(graph, work))
    }

    fn parameters_on(&self, target: &Target) -> Result<Device> {
        match target {
            Target::Cuda(index) => cuda_device(*index),
            Target::Tensors(device) => Ok(device.clone()),
        }
    }

    fn build(&self, graph: &Arc<Graph>, setting: Setting<'_>) -> Result<Box<dyn Runner>> {
        let model = ReferenceModel::new(Arc::clone(graph))?;
        Ok(Box::new(Running { model, precision: setting.precision }))
    }
}

/// Bytes that one prompt's way through one loop takes on candle while nothing is kept.
#[must_use]
pub fn passing_through(graph: &Graph, tokens: usize) -> f64 {
    // At any time about a third of a loop's results are still needed.
    4.0 * kept_by_candle(graph, tokens).1 as f64 / 3.0
}

/// What candle's operations take: they keep every result of the window's loops, and give all back.
#[must_use]
pub fn footprint(graph: &Graph, work: Work) -> Footprint {
    let Work { prompts, layout, points, loops, window, .. } = work;
    let tokens = layout.tokens(points);
    let (once, each_loop) = kept_by_candle(graph, tokens);
    let window = window.min(loops);
    let kept = if window > 0 { 4.0 * (once as f64 + each_loop as f64 * window as f64) } else { 0.0 };
    // A copy of the parameters; of the window, its gradients, and those in one buffer.
    let parameters = 4.0 * graph.params().iter().map(ParamInfo::len).sum::<usize>() as f64;
    let copies = if window > 0 { 3.0 } else { 1.0 } * parameters;
    let passing = prompts as f64 * (kept + passing_through(graph, tokens)) + copies;
    Footprint { kept: 0.0, passing }
}

/// A model with the precision of its products.
struct Running {
    model: ReferenceModel,
    precision: Precision,
}

impl Running {
    /// Tells candle which products to take on a CUDA device. That is one setting for the whole process, so it's made
    /// before each step.
    fn set_products(&self) {
        candle_core::cuda::set_gemm_reduced_precision_f32(self.precision == Precision::Tf32);
    }
}

impl Runner for Running {
    fn step(
        &self,
        store: &ParamStore,
        prompts: &Prompts,
        objective: Objective,
        loops: &StepLoops,
    ) -> Result<Found> {
        self.set_products();
        // What is stretched over all loops is so over the step's, whatever a pass draws of them.
        let whole = |passes: &Vec<Pass>| passes.iter().all(|pass| pass.plan.loops == loops.loops);
        let Some(passes) = loops.passes().filter(whole) else {
            return self.model.run(store, prompts, objective, loops);
        };
        sum_of_passes(passes, |Pass { plan, counted: loss_loops, .. }| {
            self.model.step(store, prompts, Step { plan, loss_loops, objective })
        })
    }

    fn predict(&self, store: &ParamStore, prompts: &Prompts, loops: usize) -> Result<Predictions> {
        self.set_products();
        self.model.predictor(store).predict(prompts, loops)
    }
}
