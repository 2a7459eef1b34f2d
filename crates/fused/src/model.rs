//! A model on the fused engine: its threads, and steps and predictions shared out to them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use looped_core::fused::{Chain, FusedBlock, Kernels, Precision};
use looped_core::{
    Error, FusedInjection, ModelConfig, ModelDims, ParamStore, Predictions, Predictor, Prompts, Result,
};
use looped_ops::AlignedBuffer;
use rayon::prelude::*;

use crate::layout::Layout;
use crate::plan::{Loops, Step, Tokens, chunks};
use crate::stack::Stack;
use crate::worker::Worker;

/// A gradient for each parameter, by name: as many values as the parameter, row-major.
pub type Gradients = BTreeMap<String, Vec<f32>>;

/// A looped model on the CPU without a graph; its parameters stay in a [`ParamStore`].
///
/// Equal calls give equal bits for one number of threads.
pub struct FusedModel {
    dims: ModelDims,
    injection: FusedInjection,
    backbone: Chain,
    layout: Layout,
    kernels: Kernels,
    threads: rayon::ThreadPool,
    memory: Mutex<Memory>,
}

/// The blocks of one loop in their fused form, if they have one.
pub(crate) fn backbone(config: &ModelConfig) -> Option<Chain> {
    let dims = config.dims();
    let link = |i| Some((format!("h.{i}"), config.block.fused(&dims)?));
    Some(Chain::new((0..dims.n_layer).map(link).collect::<Option<_>>()?, dims.n_embd))
}

/// What is kept between calls, so that they don't ask the system for it each time.
struct Memory {
    params: AlignedBuffer,
    workers: Vec<Worker>,
}

impl FusedModel {
    /// The fused form of a model, to run on so many threads; `None` where its block or its injector has none.
    ///
    /// # Errors
    /// If the system refuses the threads.
    pub fn new(config: &ModelConfig, threads: usize) -> Result<Option<Self>> {
        let dims = config.dims();
        let Some(injection) = config.injector.fused() else { return Ok(None) };
        let Some(backbone) = backbone(config) else { return Ok(None) };
        let layout = Layout::new(dims, &backbone);
        let threads = threads.max(1);
        let name = |i| format!("fused {i}");
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(name).build();
        let refused = |error| Error::Data(format!("the system refuses {threads} threads: {error}"));
        let workers = (0..threads).map(|_| Worker::default()).collect();
        Ok(Some(Self {
            dims,
            injection,
            backbone,
            layout,
            kernels: Kernels::best(),
            threads: pool.map_err(refused)?,
            memory: Mutex::new(Memory { params: AlignedBuffer::default(), workers }),
        }))
    }

    /// The same model on a given instruction set.
    #[must_use]
    pub fn with_kernels(self, kernels: Kernels) -> Self {
        Self { kernels, ..self }
    }

    /// The mean loss of the last loops on `prompts`, and its gradient for every parameter of `store`.
    ///
    /// # Errors
    /// If the parameters or the prompts don't fit the model, or no loop enters the loss.
    pub fn step(&self, store: &ParamStore, prompts: &Prompts, step: Step) -> Result<(f64, Gradients)> {
        let tokens = Tokens::new(prompts, self.dims, self.injection)?;
        let loops = Loops::new(step, prompts)?;
        let mut memory = self.memory();
        let Memory { params, workers } = &mut *memory;
        let stack = self.stack(store, params, step.precision)?;
        let chunks = self.share(prompts, tokens);
        let workers = &mut workers[..chunks.len().min(self.threads.current_num_threads())];
        self.spread(workers, &chunks, |worker, own| {
            worker.start(self.layout.len);
            own.for_each(|range| worker.train(&stack, prompts, range, tokens, loops));
        });
        let loss = workers.iter().map(|worker| worker.loss).sum();
        Ok((loss, self.threads.install(|| self.sum(workers))))
    }

    /// This model with the parameters of `store`, to be asked for predictions.
    pub fn predictor<'a>(&'a self, store: &'a ParamStore, precision: Precision) -> FusedPredictor<'a> {
        FusedPredictor { model: self, store, precision }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // What a panicking thread leaves behind has no meaning between calls anyway.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The weights of `store`, packed.
    fn stack<'a>(
        &'a self,
        store: &ParamStore,
        params: &'a mut AlignedBuffer,
        precision: Precision,
    ) -> Result<Stack<'a>> {
        params.resize(self.layout.len);
        self.layout.read(store, params)?;
        let kernels = self.kernels.with_precision(precision);
        let params = &**params;
        Ok(self.threads.install(|| Stack::new(self.dims, &self.layout, params, &self.backbone, kernels)))
    }

    fn share(&self, prompts: &Prompts, tokens: Tokens) -> Vec<Range<usize>> {
        chunks(prompts.prompts, tokens, self.backbone.least_sequences(), self.threads.current_num_threads())
    }

    /// Runs `work` on every worker, each with its own chunks.
    fn spread(
        &self,
        workers: &mut [Worker],
        chunks: &[Range<usize>],
        work: impl Fn(&mut Worker, &mut dyn Iterator<Item = Range<usize>>) + Sync,
    ) {
        let threads = workers.len();
        self.threads.scope(|scope| {
            for (i, worker) in workers.iter_mut().enumerate() {
                let work = &work;
                scope.spawn(move |_| work(worker, &mut chunks.iter().skip(i).step_by(threads).cloned()));
            }
        });
    }

    /// The workers' gradients, added in their order.
    fn sum(&self, workers: &[Worker]) -> Gradients {
        let kernels = self.kernels;
        let one = |(name, range): &(String, Range<usize>)| {
            let mut sum = workers[0].grads[range.clone()].to_vec();
            workers[1..].iter().for_each(|worker| kernels.add(&worker.grads[range.clone()], &mut sum));
            (name.clone(), sum)
        };
        self.layout.entries.par_iter().map(one).collect()
    }
}

/// A [`FusedModel`] with its parameters.
pub struct FusedPredictor<'a> {
    model: &'a FusedModel,
    store: &'a ParamStore,
    precision: Precision,
}

impl Predictor for FusedPredictor<'_> {
    fn predict(&self, prompts: &Prompts, loops: usize) -> Result<Predictions> {
        let model = self.model;
        let tokens = Tokens::new(prompts, model.dims, model.injection)?;
        let mut memory = model.memory();
        let Memory { params, workers } = &mut *memory;
        let stack = model.stack(self.store, params, self.precision)?;
        let after = prompts.prompts * prompts.points;
        let values = Mutex::new(vec![0.0; loops * after]);
        model.spread(workers, &model.share(prompts, tokens), |worker, own| {
            for range in own {
                let (start, len) = (range.start * prompts.points, range.len() * prompts.points);
                let predictions = worker.predict(&stack, prompts, range, tokens, loops);
                let mut values = values.lock().unwrap_or_else(PoisonError::into_inner);
                for (own, all) in predictions.chunks_exact(len).zip(values.chunks_exact_mut(after)) {
                    all[start..start + len].copy_from_slice(own);
                }
            }
        });
        let values = values.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(Predictions { values, loops, prompts: prompts.prompts, points: prompts.points })
    }
}
