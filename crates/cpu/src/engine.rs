//! A model on the CPU engine: its threads, and steps and predictions shared out to them.

mod watch;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use looped_core::{
    Error, Flat, Found, ModelDims, Objective, ParamStore, Policy, Predictions, Predictor, Prompts, Result,
    TokenLayout,
};
use looped_graph::lower::{Program, Shapes};
use looped_graph::{Form, Graph, Linear, Op, Source, TraceError};
use looped_ops::{AlignedBuffer, Kernels, Precision};
use rayon::prelude::*;

use crate::body::Notes;
use crate::chunks::chunks;
use crate::hunt::Hunt;
use crate::layout::Layout;
use crate::once;
use crate::plan::{LossOf, Step, check};
use crate::plans::Plans;
use crate::point::Compiled;
use crate::weights::{Packed, Weights, layers};
use crate::worker::{Job, Worker};

/// A recorded model on the CPU; its parameters stay in a [`ParamStore`].
///
/// Equal calls give equal bits for one number of threads.
pub struct CpuModel {
    dims: ModelDims,
    graph: Arc<Graph>,
    layers: Vec<Linear>,
    plans: Plans,
    layout: Layout,
    kernels: Kernels,
    threads: rayon::ThreadPool,
    hunt: Hunt,
    memory: Mutex<Memory>,
}

/// What is kept between calls, so that they don't ask the system for it each time.
#[derive(Default)]
struct Memory {
    flat: AlignedBuffer,
    packed: Packed,
    workers: Vec<Worker>,
    programs: HashMap<Shapes, Arc<Compiled>>,
}

/// Programs that are kept: two for each length of prompts that is in use, and then some.
const PROGRAMS: usize = 64;

/// Tokens of a prompt of so many points, and those at which predictions are made.
pub(crate) fn tokens_of(layout: TokenLayout, points: usize) -> (usize, Arc<[usize]>) {
    (layout.tokens(points), layout.reads(points).into())
}

/// How many prompts a chunk should have at least: a recurrence has as many rows in a product as there are prompts, and with fewer than 4 the machine isn't
/// busy.
pub(crate) fn least_sequences(graph: &Graph) -> usize {
    let recurs = graph.nodes().iter().any(|node| match &node.source {
        Source::Op(op) => matches!(op.form(), Form::Recur(_)),
        _ => false,
    });
    if recurs { 4 } else { 1 }
}

impl CpuModel {
    /// What keeps a graph from this engine: each operation in the way, with its place.
    #[must_use]
    pub fn refusals(graph: &Graph) -> Vec<String> {
        Program::refusals(graph)
    }

    /// A recorded model, to run on so many threads.
    ///
    /// # Errors
    /// If the engine can't take the graph (see [`CpuModel::refusals`]), or the system refuses the threads.
    pub fn new(graph: Arc<Graph>, dims: ModelDims, threads: usize) -> Result<Self> {
        let refusals = Self::refusals(&graph);
        if !refusals.is_empty() {
            return Err(Error::Data(refusals.join("\n")));
        }
        let threads = threads.max(1);
        let name = |i| format!("cpu {i}");
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(name).build();
        let refused = |error| Error::Data(format!("the system refuses {threads} threads: {error}"));
        let workers = (0..threads).map(|_| Worker::default()).collect();
        Ok(Self {
            dims,
            layers: layers(&graph),
            layout: Layout::new(&graph),
            plans: Plans::new(&graph),
            graph,
            kernels: Kernels::best(),
            threads: pool.map_err(refused)?,
            hunt: Hunt::from_environment()?,
            memory: Mutex::new(Memory { workers, ..Memory::default() }),
        })
    }

    /// The same model on a given instruction set.
    #[must_use]
    pub fn with_kernels(self, kernels: Kernels) -> Self {
        Self { kernels, ..self }
    }

    /// The same model with room of its own for every buffer, so that a wrong sharing shows as another result.
    #[must_use]
    pub fn with_buffers_apart(self) -> Self {
        Self { hunt: Hunt { apart: true, ..self.hunt }, ..self }
    }

    /// The same model, with buffers apart, in memory that holds NaN wherever nothing was written, so that whatever is read of it shows.
    #[must_use]
    pub fn with_dead_memory_nan(self) -> Self {
        Self { hunt: Hunt { apart: true, dead_is_nan: true, ..self.hunt }, ..self }
    }

    /// The same model, which stops at the first number that isn't finite and names where it was made.
    #[must_use]
    pub fn finding_the_first_nan(self) -> Self {
        Self { hunt: Hunt { finite: true, ..self.hunt }, ..self }
    }

    /// The mean loss of the last loops on `prompts`, and its gradient for every parameter of `store`.
    ///
    /// # Errors
    /// If the parameters or the prompts don't fit the model, no loop enters the loss, or an operation fails; the message then names the
    /// operation, the part it belongs to and the place in its author's code.
    pub fn step(&self, store: &ParamStore, prompts: &Prompts, step: Step) -> Result<(f64, Flat)> {
        let Found { loss, gradients, .. } =
            self.run(store, prompts, (step.objective, step.precision), &step.policy()?)?;
        Ok((loss, gradients))
    }

    /// The loss of a training step on `prompts`, whose way through the loops is the policy's, and its gradient for every parameter of `store`.
    ///
    /// # Errors
    /// As [`CpuModel::step`].
    pub fn run(
        &self,
        store: &ParamStore,
        prompts: &Prompts,
        (objective, precision): (Objective, Precision),
        policy: &dyn Policy,
    ) -> Result<Found> {
        self.check(prompts)?;
        let of = LossOf::new(objective, prompts)?;
        let (values, mut memory) = (store.values(), self.memory());
        let Memory { flat, packed, workers, programs } = &mut *memory;
        let loops = policy.loops();
        let weights = self.weights(&values, (flat, packed), precision, true, loops)?;
        let chunks = self.share(prompts);
        let programs = self.programs(programs, prompts, &chunks)?;
        let job = Job { weights: &weights, plans: &self.plans, prompts };
        let workers = &mut workers[..chunks.len().min(self.threads.current_num_threads())];
        let slots = policy.slots();
        self.spread(workers, &chunks, |worker, own| {
            worker.start(self.layout.len_for(loops), self.hunt);
            own.for_each(|range| worker.train(job, &programs[&range.len()], range, (policy, of), slots));
        });
        stopped(workers)?;
        let loss = workers.iter().map(|worker| worker.loss).sum();
        let mut notes = Notes::new();
        for (what, sum) in workers.iter().flat_map(|worker| &worker.notes) {
            *notes.entry(what).or_default() += sum / prompts.prompts as f64;
        }
        let gradients = self.threads.install(|| self.sum(workers, &weights, loops))?;
        Ok(Found { loss, gradients, notes })
    }

    /// Does `work` on this engine's threads: what it shares out by rayon stays on them.
    pub fn on_threads<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.threads.install(work)
    }

    /// This model with the parameters of `store`, to be asked for predictions.
    pub fn predictor<'a>(&'a self, store: &'a ParamStore, precision: Precision) -> CpuPredictor<'a> {
        CpuPredictor { model: self, store, precision }
    }

    /// Refuses prompts that don't fit the model.
    fn check(&self, prompts: &Prompts) -> Result<()> {
        check(prompts, self.dims)?;
        let (given, width) = (prompts.n_dims, self.graph.input_width() - self.graph.noise_width());
        if width != 0 && width != given {
            return Err(Error::Data(format!("x has {given} coordinates, and the graph's input {width}")));
        }
        prompts.fit_vocabularies(&self.graph)?;
        for node in self.graph.nodes() {
            let Some(Form::Positions(table)) = node.op().map(Op::form) else { continue };
            let (tokens, room) =
                (prompts.layout.tokens(prompts.points), self.graph.params()[table.index()].dims[0]);
            if tokens > room {
                let what = format!("{}: there are {tokens} tokens, and positions for {room}", node.name());
                let scope = node.scope.to_string();
                return Err(Error::Recording(TraceError { scope, what, at: node.at }));
            }
        }
        Ok(())
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // What a panicking thread leaves behind has no meaning between calls anyway.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The weights for a pass of so many loops, packed. The values are read where they lie; where rows are computed of them, those
    /// are put into `flat`, behind a copy of the values.
    fn weights<'a>(
        &'a self,
        values: &'a Flat,
        (flat, packed): (&'a mut AlignedBuffer, &'a mut Packed),
        precision: Precision,
        training: bool,
        loops: usize,
    ) -> Result<Weights<'a>> {
        let flat = if self.layout.has_rows() {
            flat.resize(self.layout.len_for(loops));
            self.layout.read(values, flat)?;
            once::forward(&self.graph, &self.layout, flat, loops);
            &**flat
        } else {
            self.layout.check(values)?;
            &**values
        };
        let kernels = self.kernels.with_precision(precision);
        Ok(self.threads.install(move || {
            let how = (kernels, training);
            Weights::new(&self.graph, &self.layers, &self.layout, flat, how, loops, packed)
        }))
    }

    fn share(&self, prompts: &Prompts) -> Vec<Range<usize>> {
        let (tokens, reads) = tokens_of(prompts.layout, prompts.points);
        let early = Program::early_tokens(&self.graph, tokens, &reads, &self.plans);
        let looped = Program::tokens_in_use(&self.graph, tokens, &reads) - early;
        let least = least_sequences(&self.graph);
        chunks(prompts.prompts, [early, looped], least, self.threads.current_num_threads())
    }

    /// The programs for the chunks, by their number of prompts.
    fn programs(
        &self,
        known: &mut HashMap<Shapes, Arc<Compiled>>,
        prompts: &Prompts,
        chunks: &[Range<usize>],
    ) -> Result<HashMap<usize, Arc<Compiled>>> {
        if known.len() > PROGRAMS {
            known.clear();
        }
        let (tokens, reads) = tokens_of(prompts.layout, prompts.points);
        let mut programs = HashMap::new();
        for sequences in chunks.iter().map(ExactSizeIterator::len) {
            if programs.contains_key(&sequences) {
                continue;
            }
            let shapes = Shapes { sequences, tokens, reads: Arc::clone(&reads), apart: self.hunt.apart };
            let program = match known.get(&shapes) {
                Some(program) => Arc::clone(program),
                None => {
                    let program =
                        Compiled::new(Program::new(&self.graph, &shapes, &self.plans).map_err(Error::Data)?);
                    known.insert(shapes, Arc::clone(&program));
                    program
                }
            };
            programs.insert(sequences, program);
        }
        Ok(programs)
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

    /// The workers' gradients, added in their order and carried on through the rows that are the same for all prompts. They are added up in the first
    /// worker's buffer, which is given away with them.
    fn sum(&self, workers: &mut [Worker], weights: &Weights<'_>, loops: usize) -> Result<Flat> {
        let kernels = self.kernels;
        let (first, others) = workers.split_at_mut(1);
        let mut all = std::mem::take(&mut first[0].grads);
        for worker in others {
            all.par_chunks_mut(1 << 14)
                .zip(worker.grads.par_chunks(1 << 14))
                .for_each(|(all, own)| kernels.add(own, all));
        }
        once::backward(&self.graph, &self.layout, weights.flat, &mut all, loops);
        Flat::from_buffer(Arc::clone(self.layout.params()), all)
    }
}

/// What the first of the workers that were kept from ending their work met.
fn stopped(workers: &mut [Worker]) -> Result<()> {
    let fault = workers.iter_mut().find_map(|worker| worker.fault.take());
    fault.map_or(Ok(()), |fault| Err(Error::Recording(fault)))
}

/// A [`CpuModel`] with its parameters.
pub struct CpuPredictor<'a> {
    model: &'a CpuModel,
    store: &'a ParamStore,
    precision: Precision,
}

impl Predictor for CpuPredictor<'_> {
    fn predict(&self, prompts: &Prompts, loops: usize) -> Result<Predictions> {
        let model = self.model;
        model.check(prompts)?;
        let (parameters, mut memory) = (self.store.values(), model.memory());
        let Memory { flat, packed, workers, programs } = &mut *memory;
        let weights = model.weights(&parameters, (flat, packed), self.precision, false, loops)?;
        let chunks = model.share(prompts);
        let programs = model.programs(programs, prompts, &chunks)?;
        let job = Job { weights: &weights, plans: &model.plans, prompts };
        let width = model.graph.read().map_or(0, |read| model.graph.shape(read).width);
        let after = prompts.prompts * prompts.points * width;
        let values = Mutex::new(vec![0.0; loops * after]);
        model.spread(workers, &chunks, |worker, own| {
            worker.begin(model.hunt);
            for range in own {
                let each = prompts.points * width;
                let (start, len) = (range.start * each, range.len() * each);
                let program = &programs[&range.len()];
                let predictions = worker.predict(job, program, range, loops, width);
                let mut values = values.lock().unwrap_or_else(PoisonError::into_inner);
                for (own, all) in predictions.chunks_exact(len).zip(values.chunks_exact_mut(after)) {
                    all[start..start + len].copy_from_slice(own);
                }
            }
        });
        stopped(workers)?;
        let values = values.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(Predictions { values, width, loops, prompts: prompts.prompts, points: prompts.points })
    }
}
