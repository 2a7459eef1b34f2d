//! A looped model with its parameters and the engine that runs it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::{Device, Tensor};
use looped_config::{Experiment, Precision};
use looped_core::graph::Rows;
use looped_core::{
    Flat, Found, LoopPlan, Looping, ModelConfig, Objective, ParamStore, Pass, Predictions, Predictor,
    Prompts, Stateful, StepLoops, cuda_device,
};
use looped_cpu::CpuModel;
use looped_cuda::{Adam, CudaModel, Math, Updated};
use looped_reference::ReferenceModel;

use crate::{EngineChoice, Gradients, Result, Target, TrainError};

/// A looped model, ready to be trained or asked.
///
/// Three engines run it: candle's operations on any device, the fused one on the CPU, and the CUDA one on a GPU. They share parameters and
/// agree within rounding.
pub struct Model {
    config: Arc<ModelConfig>,
    store: ParamStore,
    candle: ReferenceModel,
    /// Where it is there, it computes steps and predictions; states come from the other.
    fused: Option<CpuModel>,
    /// The same of a GPU.
    cuda: Option<CudaModel>,
    /// Whether the GPU holds newer parameters than `store`.
    stale: AtomicBool,
    target: Target,
    choice: EngineChoice,
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
    pub fn of(experiment: &Experiment, device: impl Into<Target>) -> Result<Self> {
        let target = device.into();
        let choice = EngineChoice::of(experiment, &target)?;
        let training = &experiment.training;
        let tensors = match target {
            Target::Cuda(index) if choice.engine == "candle" => cuda_device(index)?,
            _ => target.tensors(),
        };
        let model = Self::new(Arc::clone(&experiment.model), experiment.seed, &tensors)?;
        let model = Self { precision: training.precision, ..model };
        match target {
            Target::Cuda(index) if choice == EngineChoice::CUDA => model.cuda(index),
            _ if choice == EngineChoice::FUSED => model.fused(training.threads.unwrap_or_else(all_threads)),
            _ => Ok(Self { choice, ..model }),
        }
    }

    /// A model on the candle engine, its parameters drawn from `seed`.
    ///
    /// # Errors
    /// If a part records something that can't be, or the device has no room for the parameters.
    pub fn new(config: Arc<ModelConfig>, seed: u64, device: &Device) -> Result<Self> {
        let candle = ReferenceModel::new(config.graph()?)?;
        let store = ParamStore::new(candle.graph(), seed, device)?;
        let choice = EngineChoice::candle("it was asked for");
        let (target, precision) = (device.into(), Precision::F32);
        Ok(Self {
            config,
            store,
            candle,
            fused: None,
            cuda: None,
            stale: AtomicBool::new(false),
            target,
            choice,
            precision,
        })
    }

    /// The same model on the CUDA engine, on the GPU `cuda:index`. Its parameters are on the CPU.
    ///
    /// # Errors
    /// If the engine can't take the model, or there is no such GPU: what is missing is said.
    pub fn cuda(self, index: usize) -> Result<Self> {
        let refused = |error| match error {
            // What the machine lacks, in a line.
            looped_core::Error::Device(why) => TrainError::Refused(format!("--device cuda:{index}: {why}")),
            error => error.into(),
        };
        let cuda =
            CudaModel::new(Arc::clone(self.candle.graph()), self.config.dims(), index).map_err(refused)?;
        Ok(Self { cuda: Some(cuda), target: Target::Cuda(index), choice: EngineChoice::CUDA, ..self })
    }

    /// The same model on the fused engine, with so many threads.
    ///
    /// # Errors
    /// If the engine can't take the model, or the system refuses the threads.
    pub fn fused(self, threads: usize) -> Result<Self> {
        let fused = CpuModel::new(Arc::clone(self.candle.graph()), self.config.dims(), threads)?;
        Ok(Self { fused: Some(fused), choice: EngineChoice::FUSED, ..self })
    }

    /// `fused`, `cuda` or `candle`.
    #[must_use]
    pub fn engine(&self) -> &'static str {
        self.choice.engine
    }

    /// Where it is computed.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The GPU, and the versions of its driver and libraries, where the CUDA engine computes; else nothing.
    #[must_use]
    pub fn gpu(&self) -> String {
        self.cuda.as_ref().map_or_else(String::new, CudaModel::versions)
    }

    /// The engine, and why it isn't the fast one.
    #[must_use]
    pub fn engine_choice(&self) -> &EngineChoice {
        &self.choice
    }

    /// The model in candle's operations, for a loss of one's own: [`ReferenceModel::forward`] has the window's predictions with gradient, and
    /// [`ReferenceModel::gradients`] what an [`Updater`](crate::Updater) takes.
    #[must_use]
    pub fn candle(&self) -> &ReferenceModel {
        &self.candle
    }

    /// The operations that run by candle's within the fused engine, which has kernels for the rest, in words.
    #[must_use]
    pub fn without_kernel(&self) -> Vec<String> {
        if self.fused.is_some() { looped_cpu::without_kernel(self.candle.graph()) } else { Vec::new() }
    }

    /// The parameters.
    ///
    /// Where a GPU holds newer ones, they are copied first; if that fails, the next use of the GPU says so.
    #[must_use]
    pub fn parameters(&self) -> &ParamStore {
        self.fresh().unwrap_or(&self.store)
    }

    /// Replaces all parameters; names and shapes must be the model's own.
    ///
    /// # Errors
    /// If they aren't; then nothing was replaced.
    pub fn load(&self, values: &BTreeMap<String, Tensor>) -> Result<()> {
        self.store.load(values)?;
        self.stale.store(false, Ordering::Relaxed);
        if let Some(cuda) = &self.cuda {
            cuda.replace(&self.store)?;
        }
        Ok(())
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
    /// If there is no room for it, or a GPU that holds newer ones fails.
    pub fn values(&self) -> Result<BTreeMap<String, Tensor>> {
        Ok(self.fresh()?.values().tensors(&Device::Cpu)?)
    }

    /// The loss on `prompts` and its gradient for every parameter.
    ///
    /// # Errors
    /// If the prompts don't fit the model, or memory runs out.
    pub fn loss_and_gradients(&self, prompts: &Prompts, plan: StepPlan) -> Result<(f64, Gradients)> {
        let StepPlan { loops: plan, loss_loops, objective } = plan;
        if let Some(cuda) = &self.cuda {
            let step = looped_cuda::Step { plan, loss_loops, objective, math: self.math() };
            return Ok(cuda.step(self.fresh()?, prompts, step)?);
        }
        if let Some(fused) = &self.fused {
            let step = looped_cpu::Step { plan, loss_loops, objective, precision: self.fused_precision() };
            return Ok(fused.step(&self.store, prompts, step)?);
        }
        self.set_products();
        let step = looped_reference::Step { plan, loss_loops, objective };
        Ok(self.candle.step(&self.store, prompts, step)?)
    }

    /// What a training step on `prompts` finds, whose way through the loops is said by the experiment.
    ///
    /// # Errors
    /// If the engine can't go that way, the prompts don't fit the model, or memory runs out.
    pub(crate) fn step(&self, prompts: &Prompts, objective: Objective, loops: &StepLoops) -> Result<Found> {
        if let (None, Some(fused)) = (&self.cuda, &self.fused) {
            return Ok(fused.run(&self.store, prompts, (objective, self.fused_precision()), loops)?);
        }
        // What is stretched over all loops is so over the step's, whatever a pass draws of them.
        let whole = |passes: &Vec<Pass>| passes.iter().all(|pass| pass.plan.loops == loops.loops);
        if let Some(passes) = loops.passes().filter(|passes| self.cuda.is_some() || whole(passes)) {
            return self.passes(prompts, objective, passes);
        }
        if self.cuda.is_some() {
            // `EngineChoice::of` has refused it already, unless the loops are the caller's own.
            return Err(TrainError::Refused(format!("the cuda engine can't {}", not_passes(loops))));
        }
        self.set_products();
        Ok(self.candle.run(&self.store, prompts, objective, loops)?)
    }

    /// The losses of plain passes, added up by their shares.
    fn passes(&self, prompts: &Prompts, objective: Objective, passes: Vec<Pass>) -> Result<Found> {
        let mut sum: Option<Found> = None;
        for Pass { share, plan: loops, counted: loss_loops } in passes {
            let plan = StepPlan { loops, loss_loops, objective };
            let (loss, gradients) = self.loss_and_gradients(prompts, plan)?;
            let mut found = Found { loss, gradients, notes: BTreeMap::new() };
            if share != 1.0 {
                found.scale(share);
            }
            sum = Some(match sum {
                None => found,
                Some(before) => before.with(&found),
            });
        }
        sum.ok_or_else(|| TrainError::Refused("training.loss: counts no loop".to_owned()))
    }

    /// What a part gave a name to, by [`Value::probe`](looped_core::graph::Value::probe), after each loop over `prompts`.
    ///
    /// # Shapes
    /// (loops, prompts, tokens, width of the value).
    ///
    /// # Errors
    /// If nothing has the name, or what has it isn't a row for each token; if the prompts don't fit the model.
    pub fn probed(&self, prompts: &Prompts, loops: usize, name: &str) -> Result<Tensor> {
        let graph = self.candle.graph();
        let names = || graph.nodes().iter().filter_map(|node| node.probe.as_deref()).collect::<Vec<_>>();
        let wire = graph.probed(name).ok_or_else(|| {
            TrainError::Refused(format!("nothing in the model has the name {name:?}; names: {:?}", names()))
        })?;
        let shape = graph.shape(wire);
        if shape.rows != Rows::Tokens {
            return Err(TrainError::Refused(format!("{name:?} is {shape}, and not a row for each token")));
        }
        let (count, tokens) = (prompts.prompts, 2 * prompts.points);
        if let Some(fused) = &self.fused {
            let values = fused.watch(&self.store, prompts, loops, &[wire])?.swap_remove(0);
            return Ok(Tensor::from_vec(values, (loops, count, tokens, shape.width), &Device::Cpu)?);
        }
        let mut looping = self.candle.looping(self.fresh()?, prompts, loops)?;
        let after = |_| {
            looping.advance()?;
            let value =
                looping.probed(name).ok_or_else(|| TrainError::Refused(format!("{name:?} is missing")))?;
            Ok(value.clone())
        };
        Ok(Tensor::stack(&(0..loops).map(after).collect::<Result<Vec<_>>>()?, 0)?)
    }

    /// What gives the first number that isn't finite in so many loops over `prompts`; nothing if none does.
    pub(crate) fn first_not_finite(&self, prompts: &Prompts, loops: usize) -> Option<String> {
        /// Prompts that are looked at together: bounds memory.
        const AT_ONCE: usize = 8;
        let store = self.parameters();
        let of = |first: usize| {
            let some = prompts.slice(first..prompts.prompts.min(first + AT_ONCE));
            self.candle.first_not_finite(store, &some, loops).ok().flatten()
        };
        (0..prompts.prompts).step_by(AT_ONCE).find_map(of).map(|found| found.to_string())
    }

    /// The parameters, as they are now.
    fn fresh(&self) -> Result<&ParamStore> {
        if let Some(cuda) = self.cuda.as_ref().filter(|_| self.stale.load(Ordering::Relaxed))
            && let Some(held) = cuda.held_values()?
        {
            *self.store.values_mut() = held;
            self.stale.store(false, Ordering::Relaxed);
        }
        Ok(&self.store)
    }

    /// Whether a GPU can hold the parameters from step to step.
    pub(crate) fn can_be_held(&self) -> bool {
        self.cuda.as_ref().is_some_and(CudaModel::can_be_held)
    }

    /// Whether it does.
    pub(crate) fn is_held(&self) -> bool {
        self.cuda.as_ref().is_some_and(CudaModel::is_held)
    }

    /// Lets the GPU hold the parameters, and Adam's moments after so many updates.
    pub(crate) fn hold(&self, moments: [&Flat; 2], updates: usize) -> Result<()> {
        let Some(cuda) = &self.cuda else { return Ok(()) };
        Ok(cuda.hold(self.fresh()?, moments, updates)?)
    }

    /// One training step on what the GPU holds; `meanwhile` is called while it works.
    pub(crate) fn update_on_gpu(
        &self,
        prompts: &Prompts,
        plan: StepPlan,
        adam: Adam,
        meanwhile: impl FnOnce(),
    ) -> Result<Updated> {
        let StepPlan { loops: plan, loss_loops, objective } = plan;
        let step = looped_cuda::Step { plan, loss_loops, objective, math: self.math() };
        let cuda = self.cuda.as_ref().ok_or_else(|| TrainError::Refused("there is no GPU".to_owned()))?;
        let updated = cuda.update(prompts, step, adam, meanwhile)?;
        self.stale.store(true, Ordering::Relaxed);
        Ok(updated)
    }

    /// Adam's moments that the GPU holds, and the updates made; nothing if it holds none.
    pub(crate) fn held_moments(&self) -> Result<Option<([Flat; 2], usize)>> {
        let held = self.cuda.as_ref().map(CudaModel::held).transpose()?.flatten();
        Ok(held.map(|held| (held.moments, held.updates)))
    }

    /// Does `work` on the threads of the engine, if it has its own.
    pub(crate) fn on_threads<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match &self.fused {
            Some(fused) => fused.on_threads(work),
            None => work(),
        }
    }

    /// Takes the parameters back from the GPU.
    pub(crate) fn release(&self) -> Result<()> {
        self.fresh()?;
        if let Some(cuda) = &self.cuda {
            cuda.release();
        }
        Ok(())
    }

    fn fused_precision(&self) -> looped_cpu::Precision {
        match self.precision {
            // `Model::of` has refused tf32 where this engine runs.
            Precision::F32 | Precision::Tf32 => looped_cpu::Precision::F32,
            Precision::Bf16 => looped_cpu::Precision::Bf16,
        }
    }

    fn math(&self) -> Math {
        match self.precision {
            Precision::F32 => Math::F32,
            Precision::Tf32 => Math::Tf32,
            Precision::Bf16 => Math::Bf16,
        }
    }

    /// Tells candle which products to take on a CUDA device. That is one setting for the whole process, so it's made
    /// before each step.
    fn set_products(&self) {
        candle_core::cuda::set_gemm_reduced_precision_f32(self.precision == Precision::Tf32);
    }
}

impl Predictor for Model {
    fn predict(&self, prompts: &Prompts, loops: usize) -> looped_core::Result<Predictions> {
        let all = self.read(prompts, loops)?;
        Ok(if self.config.exit_gate.is_some() { all.without_last().0 } else { all })
    }

    fn gates(&self, prompts: &Prompts, loops: usize) -> looped_core::Result<Option<Vec<f32>>> {
        let gated = self.config.exit_gate.is_some();
        Ok(if gated { Some(self.read(prompts, loops)?.without_last().1) } else { None })
    }
}

impl Model {
    /// All that is read after each loop: predictions, and the gate's numbers where there is one.
    fn read(&self, prompts: &Prompts, loops: usize) -> looped_core::Result<Predictions> {
        if let Some(cuda) = &self.cuda {
            return cuda.predictor(&self.store, self.math()).predict(prompts, loops);
        }
        if let Some(fused) = &self.fused {
            return fused.predictor(&self.store, self.fused_precision()).predict(prompts, loops);
        }
        self.set_products();
        self.candle.predictor(&self.store).predict(prompts, loops)
    }
}

/// By candle always, whose loops can be run one at a time.
impl Stateful for Model {
    fn width(&self) -> usize {
        self.config.n_embd
    }

    fn looping(&self, prompts: &Prompts, loops: usize) -> looped_core::Result<Looping<'_>> {
        Ok(self.candle.looping(self.parameters(), prompts, loops)?.into())
    }
}

/// What an engine of plain passes would have to do for these loops.
pub(crate) fn not_passes(loops: &StepLoops) -> String {
    let (way, loss) = (loops.unroll.typetag_name(), loops.loss.typetag_name());
    let more = if loops.regularizers.is_empty() { "" } else { " with regularisers" };
    format!("go through the loops by the unroll `{way}` and the loss `{loss}`{more}")
}

/// One thread a core.
pub(crate) fn all_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
