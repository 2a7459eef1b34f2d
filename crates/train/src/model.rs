//! A looped model with its parameters and the engine that runs it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::{Device, Tensor};
use looped_config::{EngineName, Experiment, Precision};
use looped_core::graph::Rows;
use looped_core::{
    AdamUpdate, Flat, Found, Holder, LoopPlan, Looping, ModelConfig, Objective, ParamStore, Pass,
    Predictions, Predictor, Prompts, Runner, Setting, Stateful, StepLoops, Target, Updated,
};
use looped_reference::ReferenceModel;

use crate::{EngineChoice, Gradients, Result, TrainError};

/// A looped model, ready to be trained or asked.
///
/// An [`Engine`](looped_core::Engine) runs it. All engines share the parameters, and agree within rounding.
pub struct Model {
    config: Arc<ModelConfig>,
    store: ParamStore,
    /// States come from candle, whose loops can be run one at a time.
    candle: ReferenceModel,
    runner: Box<dyn Runner>,
    /// Whether the engine's device holds newer parameters than `store`.
    stale: AtomicBool,
    target: Target,
    choice: EngineChoice,
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
        let threads = training.threads.unwrap_or_else(all_threads);
        Self::built(
            Arc::clone(&experiment.model),
            experiment.seed,
            target,
            choice,
            (threads, training.precision),
        )
    }

    /// A model on the engine called so, or on one that stands for it there, in f32 on so many threads; its parameters are drawn from `seed`.
    ///
    /// # Errors
    /// If there is no such engine on the device, or it can't take the model: what is missing is said.
    pub fn new(
        config: Arc<ModelConfig>,
        seed: u64,
        engine: &str,
        device: impl Into<Target>,
        threads: usize,
    ) -> Result<Self> {
        let target = device.into();
        let engine = EngineChoice::called(engine, &target)?;
        let asked = || "it was asked for".to_owned();
        let choice = EngineChoice { engine, why: (engine.key() != EngineName::FUSED).then(asked) };
        Self::built(config, seed, target, choice, (threads, Precision::F32))
    }

    fn built(
        config: Arc<ModelConfig>,
        seed: u64,
        target: Target,
        choice: EngineChoice,
        (threads, precision): (usize, Precision),
    ) -> Result<Self> {
        let candle = ReferenceModel::new(config.graph()?)?;
        let store = ParamStore::new(candle.graph(), seed, &choice.engine.parameters_on(&target)?)?;
        let setting = Setting { dims: config.dims(), target: &target, threads, precision };
        let runner = choice.engine.build(candle.graph(), setting).map_err(|error| match error {
            // What the machine lacks, in a line.
            looped_core::Error::Device(why) => {
                TrainError::Refused(format!("--device {}: {why}", target.name()))
            }
            error => error.into(),
        })?;
        let stale = AtomicBool::new(false);
        Ok(Self { config, store, candle, runner, stale, target, choice })
    }

    /// The engine's name: `fused`, `cuda`, `candle`, or another that is registered.
    #[must_use]
    pub fn engine(&self) -> &'static str {
        self.choice.engine.name
    }

    /// Where it is computed.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The device, and the versions of its driver and libraries, where results may depend on them; else nothing.
    #[must_use]
    pub fn versions(&self) -> String {
        self.runner.versions()
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

    /// The operations that run by candle's within an engine that has kernels for the rest, in words.
    #[must_use]
    pub fn without_kernel(&self) -> Vec<String> {
        self.choice.engine.without_kernel(self.candle.graph())
    }

    /// The parameters.
    ///
    /// Where the engine's device holds newer ones, they are copied first; if that fails, its next use says so.
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
        if let Some(holder) = self.runner.holder() {
            holder.replace(&self.store)?;
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
    /// If there is no room for it, or a device that holds newer ones fails.
    pub fn values(&self) -> Result<BTreeMap<String, Tensor>> {
        Ok(self.fresh()?.values().tensors(&Device::Cpu)?)
    }

    /// The loss on `prompts` and its gradient for every parameter.
    ///
    /// # Errors
    /// If the prompts don't fit the model, or memory runs out.
    pub fn loss_and_gradients(&self, prompts: &Prompts, plan: StepPlan) -> Result<(f64, Gradients)> {
        let StepPlan { loops, loss_loops, objective } = plan;
        let [window, counted] = loops.counted(loss_loops)?;
        let loops = StepLoops::last(LoopPlan { window, ..loops }, counted);
        let Found { loss, gradients, .. } = self.step(prompts, objective, &loops)?;
        Ok((loss, gradients))
    }

    /// What a training step on `prompts` finds, whose way through the loops is said by the experiment.
    ///
    /// # Errors
    /// If the engine can't go that way, the prompts don't fit the model, or memory runs out.
    pub(crate) fn step(&self, prompts: &Prompts, objective: Objective, loops: &StepLoops) -> Result<Found> {
        Ok(self.runner.step(self.fresh()?, prompts, objective, loops)?)
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
        if let Some(values) = self.runner.watch(self.fresh()?, prompts, loops, wire)? {
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
        if let Some(holder) = self.runner.holder().filter(|_| self.stale.load(Ordering::Relaxed))
            && let Some(held) = holder.values()?
        {
            *self.store.values_mut() = held;
            self.stale.store(false, Ordering::Relaxed);
        }
        Ok(&self.store)
    }

    /// The engine as one that can keep the parameters on its device from step to step, if it can.
    pub(crate) fn holder(&self) -> Option<&dyn Holder> {
        self.runner.holder()
    }

    /// Lets the device keep the parameters, and Adam's moments after so many updates.
    pub(crate) fn hold(&self, moments: [&Flat; 2], updates: usize) -> Result<()> {
        let Some(holder) = self.holder() else { return Ok(()) };
        Ok(holder.hold(self.fresh()?, moments, updates)?)
    }

    /// One training step on what the device keeps; `meanwhile` is called while it works.
    pub(crate) fn update_on_device(
        &self,
        prompts: &Prompts,
        objective: Objective,
        pass: Pass,
        adam: AdamUpdate,
        meanwhile: &mut dyn FnMut(),
    ) -> Result<Updated> {
        let none = || TrainError::Refused("nothing is held on a device".to_owned());
        let holder = self.holder().ok_or_else(none)?;
        let updated = holder.update(prompts, objective, pass, adam, meanwhile)?;
        self.stale.store(true, Ordering::Relaxed);
        Ok(updated)
    }

    /// Adam's moments that the device keeps, and the updates made; nothing if it keeps none.
    pub(crate) fn held_moments(&self) -> Result<Option<([Flat; 2], usize)>> {
        Ok(self.holder().map(Holder::moments).transpose()?.flatten())
    }

    /// Takes the parameters back from the device.
    pub(crate) fn release(&self) -> Result<()> {
        self.fresh()?;
        if let Some(holder) = self.holder() {
            holder.release();
        }
        Ok(())
    }

    /// Does `work` on the threads of the engine, if it has its own.
    pub(crate) fn on_threads(&self, work: impl FnOnce() -> Result<()> + Send) -> Result<()> {
        let (mut work, mut done) = (Some(work), Ok(()));
        self.runner.on_threads(&mut || {
            if let Some(work) = work.take() {
                done = work();
            }
        });
        done
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
        self.runner.predict(&self.store, prompts, loops)
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

/// One thread a core.
pub(crate) fn all_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
