//! A looped model with its parameters and the engine that runs it.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use looped_config::{Engine, Experiment, Precision};
use looped_core::{
    CandlePredictor, LoopPlan, LoopedModel, ModelConfig, Objective, ParamStore, Predictions, Predictor,
    Prompts,
};
use looped_fused::{FusedModel, Step};

use crate::{Gradients, Result, TrainError};

/// A looped model, ready to be trained or asked.
///
/// Two engines run it: candle's operations, which take any block to any device, and the fused one, for blocks that have
/// a fused form, on the CPU. They share parameters and agree within rounding.
pub struct Model {
    store: ParamStore,
    looped: LoopedModel,
    fused: Option<FusedModel>,
    precision: Precision,
}

/// What a training step needs to know besides its prompts.
#[derive(Clone, Copy, Debug)]
pub struct StepPlan {
    /// Loops, and how many of the last carry gradient.
    pub loops: LoopPlan,
    /// How many of the last loops enter the loss; more than the window means the window.
    pub loss_loops: usize,
    /// What is minimised.
    pub objective: Objective,
}

impl Model {
    /// The model of an experiment, on the engine it asks for; its parameters are drawn from the experiment's seed.
    ///
    /// # Errors
    /// If the config can't be built on the device, or it asks for an engine that doesn't support it.
    pub fn of(experiment: &Experiment, device: &Device) -> Result<Self> {
        let training = &experiment.training;
        let threads = training.threads.unwrap_or_else(all_threads);
        let candle = Self::new(Arc::clone(&experiment.model), experiment.seed, device)?;
        let fused = match training.engine {
            Engine::Candle => None,
            Engine::Auto | Engine::Fused if device.is_cpu() => FusedModel::new(&experiment.model, threads)?,
            Engine::Auto | Engine::Fused => None,
        };
        let refused = |what: &str| {
            let why = if device.is_cpu() {
                "its block or injector has no fused form"
            } else {
                "it runs on the CPU only"
            };
            TrainError::Refused(format!("{what} needs the fused engine, which can't take this model: {why}"))
        };
        match (&fused, training.engine, training.precision) {
            (None, Engine::Fused, _) => Err(refused("training.engine = \"fused\"")),
            (None, _, Precision::Bf16) => Err(refused("training.precision = \"bf16\"")),
            (_, _, Precision::Tf32) if !device.is_cuda() => Err(TrainError::Refused(
                "training.precision = \"tf32\" needs a CUDA device (--device cuda:0); on the CPU allowed: f32, and \
                 bf16 in the fused engine"
                    .to_owned(),
            )),
            _ => Ok(Self { fused, precision: training.precision, ..candle }),
        }
    }

    /// A model on the candle engine, its parameters drawn from `seed`.
    ///
    /// # Errors
    /// If the config can't be built on the device.
    pub fn new(config: Arc<ModelConfig>, seed: u64, device: &Device) -> Result<Self> {
        let mut store = ParamStore::new(seed, device);
        let looped = LoopedModel::build(config, &mut store)?;
        Ok(Self { store, looped, fused: None, precision: Precision::F32 })
    }

    /// The same model on the fused engine, with so many threads; unchanged where a part has no fused form.
    ///
    /// # Errors
    /// If the system refuses the threads.
    pub fn fused(self, threads: usize) -> Result<Self> {
        let fused = FusedModel::new(self.looped.config(), threads)?;
        Ok(Self { fused, ..self })
    }

    /// `fused` or `candle`.
    #[must_use]
    pub fn engine(&self) -> &'static str {
        if self.fused.is_some() { "fused" } else { "candle" }
    }

    /// The parameters.
    #[must_use]
    pub fn parameters(&self) -> &ParamStore {
        &self.store
    }

    /// The model as candle operations: states, custom losses.
    #[must_use]
    pub fn looped(&self) -> &LoopedModel {
        &self.looped
    }

    /// Replaces all parameters; names and shapes must be the model's own.
    ///
    /// # Errors
    /// If they aren't; then nothing was replaced.
    pub fn load(&self, values: &BTreeMap<String, Tensor>) -> Result<()> {
        Ok(self.store.load(values)?)
    }

    /// The parameters' values, by name.
    #[must_use]
    pub fn values(&self) -> BTreeMap<String, Tensor> {
        self.store.iter().map(|(name, var)| (name.to_owned(), var.as_detached_tensor())).collect()
    }

    /// The loss on `prompts` and its gradient for every parameter.
    ///
    /// # Errors
    /// If the prompts don't fit the model, or memory runs out.
    pub fn loss_and_gradients(&self, prompts: &Prompts, plan: StepPlan) -> Result<(f64, Gradients)> {
        match &self.fused {
            Some(fused) => self.by_fused(fused, prompts, plan),
            None => self.by_candle(prompts, plan),
        }
    }

    fn by_fused(&self, fused: &FusedModel, prompts: &Prompts, plan: StepPlan) -> Result<(f64, Gradients)> {
        let StepPlan { loops, loss_loops, objective } = plan;
        let step = Step { plan: loops, loss_loops, objective, precision: fused_precision(self.precision) };
        let (loss, gradients) = fused.step(&self.store, prompts, step)?;
        let tensor = |(name, values): (String, Vec<f32>)| {
            let shape =
                self.store.get(&name).map(|var| var.shape().clone()).unwrap_or_else(|| values.len().into());
            Ok((name, Tensor::from_vec(values, shape, &Device::Cpu)?))
        };
        Ok((loss, gradients.into_iter().map(tensor).collect::<Result<_>>()?))
    }

    fn by_candle(&self, prompts: &Prompts, plan: StepPlan) -> Result<(f64, Gradients)> {
        self.set_products();
        let (xs, ys) = prompts.to_tensors(self.store.device())?;
        let predictions = self.looped.forward(&xs, &ys, plan.loops)?;
        let window = predictions.dim(0)?;
        let counted = plan.loss_loops.min(window);
        let loss = plan.objective.loss(&predictions.narrow(0, window - counted, counted)?, &ys)?;
        let mut found = loss.backward()?;
        let mut gradients = Gradients::new();
        for (name, var) in self.store.iter() {
            // A parameter that the loss doesn't reach (read-in behind a cut state, say) has the gradient 0.
            let gradient = found.remove(var.as_tensor()).map_or_else(|| var.zeros_like(), Ok)?;
            gradients.insert(name.to_owned(), gradient);
        }
        Ok((f64::from(loss.to_scalar::<f32>()?), gradients))
    }
}

impl Model {
    /// Tells candle which products to take on a CUDA device. That is one setting for the whole process, so it's made
    /// before each step.
    fn set_products(&self) {
        candle_core::cuda::set_gemm_reduced_precision_f32(self.precision == Precision::Tf32);
    }
}

impl Predictor for Model {
    fn predict(&self, prompts: &Prompts, loops: usize) -> looped_core::Result<Predictions> {
        match &self.fused {
            Some(fused) => {
                fused.predictor(&self.store, fused_precision(self.precision)).predict(prompts, loops)
            }
            None => {
                self.set_products();
                let device = self.store.device().clone();
                CandlePredictor { model: &self.looped, device }.predict(prompts, loops)
            }
        }
    }
}

/// One thread a core.
pub(crate) fn all_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn fused_precision(precision: Precision) -> looped_fused::Precision {
    match precision {
        // `Model::of` has refused tf32 where this engine runs.
        Precision::F32 | Precision::Tf32 => looped_fused::Precision::F32,
        Precision::Bf16 => looped_fused::Precision::Bf16,
    }
}
