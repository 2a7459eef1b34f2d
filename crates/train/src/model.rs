//! A looped model with its parameters and the engine that runs it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor, Var};
use looped_config::{Experiment, Precision};
use looped_core::{
    CandlePredictor, Error, LoopPlan, LoopedModel, Looping, ModelConfig, Objective, ParamStore, Predictions,
    Predictor, Prompts, Stateful,
};
use looped_cpu::CpuModel;
use looped_fused::{FusedModel, Step};
use looped_reference::ReferenceModel;

use crate::{EngineChoice, Gradients, Result, TrainError};

/// A looped model, ready to be trained or asked.
///
/// Engines run it: candle's operations, which take any block to any device, those on the recorded model (the reference engine), and the
/// fused one, for blocks that have a fused form, on the CPU. They share parameters and agree within rounding.
pub struct Model {
    config: Arc<ModelConfig>,
    store: ParamStore,
    /// Nothing where a part is recorded only.
    looped: Option<LoopedModel>,
    engine: Engine,
    choice: EngineChoice,
    precision: Precision,
}

enum Engine {
    Candle,
    Reference(ReferenceModel),
    Fused(FusedModel),
    /// Its states come from the reference engine.
    Graph(CpuModel, ReferenceModel),
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
        let choice = EngineChoice::of(experiment, device)?;
        let training = &experiment.training;
        let model = Self::new(Arc::clone(&experiment.model), experiment.seed, device)?;
        let model = Self { precision: training.precision, choice, ..model };
        match model.choice.engine {
            "fused" => model.fused(training.threads.unwrap_or_else(all_threads)),
            "graph" => model.graph(training.threads.unwrap_or_else(all_threads)),
            "reference" => model.reference(),
            _ => Ok(model),
        }
    }

    /// A model on the candle engine, its parameters drawn from `seed`; on the reference engine where a part is recorded only.
    ///
    /// # Errors
    /// If the config can't be built on the device.
    pub fn new(config: Arc<ModelConfig>, seed: u64, device: &Device) -> Result<Self> {
        let mut store = ParamStore::new(seed, device);
        let choice = EngineChoice::by_candle(&config, "it was asked for");
        let recorded_only = choice.engine == "reference";
        let looped =
            if recorded_only { None } else { Some(LoopedModel::build(Arc::clone(&config), &mut store)?) };
        let (engine, precision) = (Engine::Candle, Precision::F32);
        let model = Self { config, store, looped, engine, choice, precision };
        if recorded_only { model.reference() } else { Ok(model) }
    }

    /// The same model on the graph engine, with so many threads.
    fn graph(mut self, threads: usize) -> Result<Self> {
        let recorded = self.recorded()?;
        let dims = self.config.dims();
        let cpu = CpuModel::new(Arc::new(recorded.graph().clone()), dims, threads)?;
        self.store.of_graph(recorded.graph())?;
        Ok(Self { engine: Engine::Graph(cpu, recorded), ..self })
    }

    /// The same model on the reference engine.
    fn reference(mut self) -> Result<Self> {
        let recorded = self.recorded()?;
        self.store.of_graph(recorded.graph())?;
        Ok(Self { engine: Engine::Reference(recorded), ..self })
    }

    fn recorded(&self) -> Result<ReferenceModel> {
        let recorded = ReferenceModel::new(&self.config)?.ok_or_else(|| {
            let part = self.config.without_recorded_form().unwrap_or_default();
            TrainError::Refused(format!(
                "the reference engine can't take this model: {part} has no recorded form"
            ))
        })?;
        Ok(recorded)
    }

    /// The same model on the fused engine, with so many threads; unchanged where a part has no fused form.
    ///
    /// # Errors
    /// If the system refuses the threads.
    pub fn fused(self, threads: usize) -> Result<Self> {
        Ok(match FusedModel::new(&self.config, threads)? {
            Some(fused) => Self { engine: Engine::Fused(fused), choice: EngineChoice::FUSED, ..self },
            None => {
                let part = self.config.without_fused_form().unwrap_or_default();
                let why = format!("{part} has no fused form");
                Self { choice: EngineChoice { why: Some(why), ..self.choice }, ..self }
            }
        })
    }

    /// `fused`, `graph`, `candle` or `reference`.
    #[must_use]
    pub fn engine(&self) -> &'static str {
        self.choice.engine
    }

    /// The engine, and why it isn't the fused one.
    #[must_use]
    pub fn engine_choice(&self) -> &EngineChoice {
        &self.choice
    }

    /// The parameters.
    #[must_use]
    pub fn parameters(&self) -> &ParamStore {
        &self.store
    }

    /// The model as candle operations, for a loss of one's own.
    ///
    /// # Errors
    /// If a part of it is recorded only.
    pub fn looped(&self) -> Result<&LoopedModel> {
        Ok(self.candle()?)
    }

    fn candle(&self) -> looped_core::Result<&LoopedModel> {
        let part = || self.config.without_candle_form().unwrap_or_default();
        self.looped.as_ref().ok_or_else(|| Error::RecordedOnly(part()))
    }

    /// Replaces all parameters; names and shapes must be the model's own.
    ///
    /// # Errors
    /// If they aren't; then nothing was replaced.
    pub fn load(&self, values: &BTreeMap<String, Tensor>) -> Result<()> {
        Ok(self.store.load(values)?)
    }

    /// Whether [`load`](Self::load) would take these values.
    ///
    /// # Errors
    /// If names, shapes or types are not the model's own.
    pub(crate) fn check(&self, values: &BTreeMap<String, Tensor>) -> Result<()> {
        Ok(self.store.check(values)?)
    }

    /// Replaces all parameters by those of a `.pt` or `.safetensors` file.
    ///
    /// # Errors
    /// If the file can't be read, or its names and shapes aren't the model's own; then nothing was replaced.
    pub fn load_file(&self, path: &Path) -> Result<()> {
        let refused = |error: &dyn std::fmt::Display| TrainError::Refused(error.to_string());
        let weights = looped_weights::read(path).map_err(|error| refused(&error))?;
        let tensor = |(name, array): (String, looped_weights::Array)| {
            Ok((name, Tensor::from_vec(array.data, array.shape, &Device::Cpu)?))
        };
        let values = weights.into_iter().map(tensor).collect::<Result<_>>()?;
        self.load(&values).map_err(|error| refused(&format_args!("{}: {error}", path.display())))
    }

    /// A copy of the parameters' values, by name: later updates don't change it.
    ///
    /// # Errors
    /// If the device has no room for it.
    pub fn values(&self) -> Result<BTreeMap<String, Tensor>> {
        self.store.iter().map(|(name, var)| Ok((name.to_owned(), var.copy()?.detach()))).collect()
    }

    /// The loss on `prompts` and its gradient for every parameter.
    ///
    /// # Errors
    /// If the prompts don't fit the model, or memory runs out.
    pub fn loss_and_gradients(&self, prompts: &Prompts, plan: StepPlan) -> Result<(f64, Gradients)> {
        match &self.engine {
            Engine::Candle => self.by_candle(prompts, plan),
            Engine::Reference(reference) => {
                self.set_products();
                let StepPlan { loops: plan, loss_loops, objective } = plan;
                Ok(reference.step(
                    &self.store,
                    prompts,
                    looped_reference::Step { plan, loss_loops, objective },
                )?)
            }
            Engine::Fused(fused) => {
                let StepPlan { loops, loss_loops, objective } = plan;
                let precision = fused_precision(self.precision);
                let step = Step { plan: loops, loss_loops, objective, precision };
                self.as_tensors(fused.step(&self.store, prompts, step)?)
            }
            Engine::Graph(cpu, _) => {
                let StepPlan { loops: plan, loss_loops, objective } = plan;
                let precision = fused_precision(self.precision);
                let step = looped_cpu::Step { plan, loss_loops, objective, precision };
                self.as_tensors(cpu.step(&self.store, prompts, step)?)
            }
        }
    }

    /// What gives the first number that isn't finite in so many loops over `prompts`; nothing if none does, or a part isn't recorded.
    pub(crate) fn first_not_finite(&self, prompts: &Prompts, loops: usize) -> Option<String> {
        /// Prompts that are looked at together: bounds memory.
        const AT_ONCE: usize = 8;
        let reference = ReferenceModel::new(&self.config).ok().flatten()?;
        let of = |first: usize| {
            let some = prompts.slice(first..prompts.prompts.min(first + AT_ONCE));
            reference.first_not_finite(&self.store, &some, loops).ok().flatten()
        };
        (0..prompts.prompts).step_by(AT_ONCE).find_map(of).map(|found| found.to_string())
    }

    fn as_tensors(&self, (loss, gradients): (f64, BTreeMap<String, Vec<f32>>)) -> Result<(f64, Gradients)> {
        // Both are sorted by name.
        let pairs = self.store.iter().zip(gradients);
        let tensor = |((_, var), (name, values)): ((&str, &Var), (String, Vec<f32>))| {
            Ok((name, Tensor::from_vec(values, var.shape(), &Device::Cpu)?))
        };
        Ok((loss, pairs.map(tensor).collect::<Result<_>>()?))
    }

    fn by_candle(&self, prompts: &Prompts, plan: StepPlan) -> Result<(f64, Gradients)> {
        self.set_products();
        let (xs, ys) = prompts.to_tensors(self.store.device())?;
        let predictions = self.candle()?.forward(&xs, &ys, plan.loops)?;
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
        match &self.engine {
            Engine::Fused(fused) => {
                fused.predictor(&self.store, fused_precision(self.precision)).predict(prompts, loops)
            }
            Engine::Graph(cpu, _) => {
                cpu.predictor(&self.store, fused_precision(self.precision)).predict(prompts, loops)
            }
            Engine::Reference(reference) => {
                self.set_products();
                reference.predictor(&self.store).predict(prompts, loops)
            }
            Engine::Candle => {
                self.set_products();
                let device = self.store.device().clone();
                CandlePredictor { model: self.candle()?, device }.predict(prompts, loops)
            }
        }
    }
}

/// Of the fused engine by candle: it keeps no states.
impl Stateful for Model {
    fn width(&self) -> usize {
        self.config.n_embd
    }

    fn looping(&self, prompts: &Prompts) -> looped_core::Result<Looping<'_>> {
        if let Engine::Reference(reference) | Engine::Graph(_, reference) = &self.engine {
            return Ok(reference.looping(&self.store, prompts)?.into());
        }
        let (xs, ys) = prompts.to_tensors(self.store.device())?;
        self.candle()?.looping(&xs, &ys)
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
