//! The CUDA engine as an experiment names it.

use std::sync::Arc;

use looped_core::{
    AdamUpdate, Engine, Error, Flat, Found, Holder, Objective, ParamStore, Pass, Precision, Predictions,
    Predictor, Prompts, Result, Runner, Setting, StepLoops, Target, Updated, schemars, sum_of_passes,
};
use looped_gpu::Math;
use looped_graph::Graph;

use crate::{CudaModel, Step};

/// Kernels on an NVIDIA GPU, compiled for the card at hand; a step is one captured graph. `fused` means it there too.
#[derive(Debug, schemars::JsonSchema)]
pub struct Cuda;

looped_core::register!(Engine, "cuda", Cuda);

impl Engine for Cuda {
    fn runs_on(&self, target: &Target) -> bool {
        matches!(target, Target::Cuda(_))
    }

    fn stands_for(&self) -> Option<&'static str> {
        Some("fused")
    }

    fn precisions(&self, _: &Target) -> &'static [Precision] {
        &[Precision::F32, Precision::Tf32, Precision::Bf16]
    }

    fn refusal(&self, graph: &Graph, _: &StepLoops) -> Option<String> {
        let refusals = CudaModel::refusals(graph);
        (!refusals.is_empty()).then(|| refusals.join("; "))
    }

    fn build(&self, graph: &Arc<Graph>, setting: Setting<'_>) -> Result<Box<dyn Runner>> {
        let Target::Cuda(index) = *setting.target else {
            return Err(Error::Device(format!("the CUDA engine doesn't run on {}", setting.target.name())));
        };
        let model = CudaModel::new(Arc::clone(graph), setting.dims, index)?;
        Ok(Box::new(Running { model, math: math_of(setting.precision) }))
    }
}

/// How products are computed in a precision.
#[must_use]
pub fn math_of(precision: Precision) -> Math {
    match precision {
        Precision::F32 => Math::F32,
        Precision::Tf32 => Math::Tf32,
        Precision::Bf16 => Math::Bf16,
    }
}

/// A model with the precision of its products.
struct Running {
    model: CudaModel,
    math: Math,
}

impl Running {
    fn pass(&self, Pass { plan, counted: loss_loops, .. }: Pass, objective: Objective) -> Step {
        Step { plan, loss_loops, objective, math: self.math }
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
        match loops.passes() {
            Some(passes) => {
                sum_of_passes(passes, |pass| self.model.step(store, prompts, self.pass(pass, objective)))
            }
            None => self.model.run(store, prompts, (objective, self.math), loops),
        }
    }

    fn predict(&self, store: &ParamStore, prompts: &Prompts, loops: usize) -> Result<Predictions> {
        self.model.predictor(store, self.math).predict(prompts, loops)
    }

    fn versions(&self) -> String {
        self.model.versions()
    }

    fn holder(&self) -> Option<&dyn Holder> {
        self.model.can_be_held().then_some(self)
    }
}

impl Holder for Running {
    fn is_held(&self) -> bool {
        self.model.is_held()
    }

    fn hold(&self, store: &ParamStore, moments: [&Flat; 2], updates: usize) -> Result<()> {
        self.model.hold(store, moments, updates)
    }

    fn update(
        &self,
        prompts: &Prompts,
        objective: Objective,
        pass: Pass,
        adam: AdamUpdate,
        meanwhile: &mut dyn FnMut(),
    ) -> Result<Updated> {
        self.model.update(prompts, self.pass(pass, objective), adam, meanwhile)
    }

    fn values(&self) -> Result<Option<Flat>> {
        self.model.held_values()
    }

    fn moments(&self) -> Result<Option<([Flat; 2], usize)>> {
        Ok(self.model.held()?.map(|held| (held.moments, held.updates)))
    }

    fn replace(&self, store: &ParamStore) -> Result<()> {
        self.model.replace(store)
    }

    fn release(&self) {
        self.model.release();
    }
}
