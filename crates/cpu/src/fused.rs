//! The CPU engine as an experiment names it.

use std::sync::Arc;

use looped_core::{
    Engine, Found, Objective, ParamStore, Precision, Predictions, Predictor, Prompts, Result, Runner,
    Setting, StepLoops, Target, schemars,
};
use looped_graph::lower::Program;
use looped_graph::{Graph, Wire};

use crate::{CpuModel, Footprint, Work, footprint, without_kernel};

/// Hand-written kernels on the CPU, whose order, gradient and memory are derived from the model. On a GPU, the engine `cuda`.
#[derive(Debug, schemars::JsonSchema)]
pub struct Fused;

looped_core::register!(Engine, "fused", Fused);

impl Engine for Fused {
    fn runs_on(&self, target: &Target) -> bool {
        target.is_cpu()
    }

    fn precisions(&self, _: &Target) -> &'static [Precision] {
        &[Precision::F32, Precision::Bf16]
    }

    fn refusal(&self, graph: &Graph, _: &StepLoops) -> Option<String> {
        Program::refusals(graph).into_iter().next()
    }

    fn without_kernel(&self, graph: &Graph) -> Vec<String> {
        without_kernel(graph)
    }

    fn footprint(&self, graph: &Graph, work: Work) -> Option<Footprint> {
        footprint(graph, work).ok()
    }

    fn build(&self, graph: &Arc<Graph>, setting: Setting<'_>) -> Result<Box<dyn Runner>> {
        let model = CpuModel::new(Arc::clone(graph), setting.dims, setting.threads)?;
        let precision = match setting.precision {
            Precision::Bf16 => crate::Precision::Bf16,
            Precision::F32 | Precision::Tf32 => crate::Precision::F32,
        };
        Ok(Box::new(Running { model, precision }))
    }
}

/// A model with the precision of its products.
struct Running {
    model: CpuModel,
    precision: crate::Precision,
}

impl Runner for Running {
    fn step(
        &self,
        store: &ParamStore,
        prompts: &Prompts,
        objective: Objective,
        loops: &StepLoops,
    ) -> Result<Found> {
        self.model.run(store, prompts, (objective, self.precision), loops)
    }

    fn predict(&self, store: &ParamStore, prompts: &Prompts, loops: usize) -> Result<Predictions> {
        self.model.predictor(store, self.precision).predict(prompts, loops)
    }

    fn watch(
        &self,
        store: &ParamStore,
        prompts: &Prompts,
        loops: usize,
        wire: Wire,
    ) -> Result<Option<Vec<f32>>> {
        Ok(self.model.watch(store, prompts, loops, &[wire])?.pop())
    }

    fn on_threads(&self, work: &mut (dyn FnMut() + Send)) {
        self.model.on_threads(work);
    }
}
