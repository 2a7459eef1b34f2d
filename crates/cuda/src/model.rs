//! A model on one GPU.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use looped_core::{
    Error, Flat, LoopPlan, ModelDims, Objective, ParamStore, Predictions, Predictor, Prompts, Result,
};
use looped_cpu::engines::{Layout, Loops, check, once_backward, once_forward};
use looped_gpu::{Arena, Device, Graph as Captured, Math, Options, Program as Ready, Span};
use looped_graph::lower::{Program, Shapes, Shared};
use looped_graph::{Form, Graph, Op};

use crate::batch;
use crate::cells::Cells;
use crate::custom;
use crate::once;
use crate::parted::{Asked, Parted};
use crate::places::{EachLoop, Front};
use crate::profile::Profile;
use crate::shape::PromptShape;
use crate::stage::{Of, Stage};

/// What a training step needs to know besides its prompts.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Loops, and how many of the last carry gradient.
    pub plan: LoopPlan,
    /// How many of the last loops enter the loss; more than the window means the window.
    pub loss_loops: usize,
    /// What is minimised.
    pub objective: Objective,
    /// How the blocks' products are computed.
    pub math: Math,
}

/// A recorded model on a GPU; its parameters stay in a [`ParamStore`] on the host.
///
/// Equal calls give equal bits on one card with one set of libraries.
pub struct CudaModel {
    pub(crate) dims: ModelDims,
    pub(crate) graph: Arc<Graph>,
    cells: Cells,
    pub(crate) flat: Layout,
    pub(crate) front: Front,
    /// Whether the host computes rows of the parameters alone ([`once`](crate::once)).
    rows_on_host: bool,
    device: Device,
    memory: Mutex<Memory>,
}

/// What is kept between calls.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) arena: Option<Arena>,
    bytes: usize,
    known: Vec<(Key, Compiled)>,
    /// Steps that go through the loops in ways of their own.
    pub(crate) parted: Vec<(Asked, Parted)>,
    /// Whether the memory holds what is the same for all batches, of what is last in one of these lists.
    pub(crate) prepared: Option<Prepared>,
    /// Whether the parameters on the GPU are the model's, and not those of a store.
    pub(crate) held: bool,
}

/// What the memory was last used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prepared {
    Whole,
    Parted,
}

impl Memory {
    /// Refuses a step on parameters of a store where others are the model's.
    pub(crate) fn refuse_held(&self) -> Result<()> {
        let held = "the model's parameters are held on the GPU: release them first";
        if self.held { Err(Error::Device(held.to_owned())) } else { Ok(()) }
    }
}

/// What operations were put together for.
#[derive(Clone, Debug, PartialEq)]
struct Key {
    shapes: Shapes,
    math: Math,
    /// Loops without gradient, with gradient, and in the loss; nothing where predictions are asked for.
    training: Option<([usize; 3], Objective)>,
    /// Whether a step ends with Adam's update.
    updates: bool,
    loops: usize,
}

/// Operations, ready to be run.
struct Compiled {
    stage: Stage,
    program: Ready,
    /// From the second call on.
    graph: Option<Captured>,
    calls: usize,
}

/// Programs that are kept: those of all depths that may be drawn, of validation and of evaluation.
const KEPT: usize = 64;
/// Rows of tokens that predictions are made for at a time, about.
pub(crate) const ROWS: usize = 1 << 16;

pub(crate) fn told(error: looped_gpu::Error) -> Error {
    Error::Device(error.to_string())
}

impl CudaModel {
    /// What keeps a graph from this engine: each operation in the way, with its place.
    #[must_use]
    pub fn refusals(graph: &Graph) -> Vec<String> {
        let mut refusals = Program::refusals(graph);
        let cells = Cells::new(graph);
        for id in graph.ids() {
            let node = graph.node(id);
            let rows = node.shapes.iter().any(|shape| shape.rows != looped_graph::Rows::Once);
            let why = match node.op().map(Op::form) {
                Some(Form::Recur(_)) => match cells.refusal(id) {
                    Some(why) => why.to_owned(),
                    None => continue,
                },
                Some(Form::Custom(_)) if rows && custom::text_of(graph, id).is_none() => {
                    "an operation of one's own has no CUDA kernel".to_owned()
                }
                Some(Form::Norm(norm)) if !norm.has_kernel() => "there is no CUDA kernel for it".to_owned(),
                _ => continue,
            };
            let scope = if node.scope.is_empty() { String::new() } else { format!("{}: ", node.scope) };
            refusals.push(format!("{scope}{}: {why}, at {}", node.name(), node.at));
        }
        refusals
    }

    /// A recorded model on `cuda:ordinal`.
    ///
    /// # Errors
    /// If the engine can't take the graph (see [`CudaModel::refusals`]), or the GPU can't be used: what is missing is said.
    pub fn new(graph: Arc<Graph>, dims: ModelDims, ordinal: usize) -> Result<Self> {
        let refusals = Self::refusals(&graph);
        if !refusals.is_empty() {
            return Err(Error::Data(refusals.join("\n")));
        }
        let device = Device::open(ordinal).map_err(told)?;
        let flat = Layout::new(&graph);
        let front = Front::new(&mut Default::default(), flat.len);
        let cells = Cells::new(&graph);
        let rows_on_host = once::operations(&graph).is_none();
        Ok(Self { dims, cells, flat, front, rows_on_host, graph, device, memory: Mutex::default() })
    }

    /// The card and the libraries that results may depend on.
    #[must_use]
    pub fn versions(&self) -> String {
        self.device.versions()
    }

    /// The mean loss of the last loops on `prompts`, and its gradient for every parameter of `store`.
    ///
    /// # Errors
    /// If the parameters or the prompts don't fit the model, no loop enters the loss, the model is held on the GPU ([`CudaModel::hold`]), or
    /// the GPU fails.
    pub fn step(&self, store: &ParamStore, prompts: &Prompts, step: Step) -> Result<(f64, Flat)> {
        let loops = step.plan.loops;
        let mut memory = self.memory();
        memory.refuse_held()?;
        let arena = self.prepare_step(&mut memory, prompts, step, false)?;
        let Some((_, Compiled { stage, .. })) = memory.known.last() else { return Err(lost()) };
        let each_loop = stage.each_loop;
        let rows = self.write_parameters(&arena, store, each_loop, loops)?;
        self.run_last(&mut memory)?;
        let loss = arena.read_floats(self.front.loss()).map_err(told)?[0];
        Ok((f64::from(loss), self.read_gradients(&arena, rows, each_loop, loops)?))
    }

    /// Operations for a step on these prompts, with their numbers in place.
    pub(crate) fn prepare_step(
        &self,
        memory: &mut Memory,
        prompts: &Prompts,
        step: Step,
        updates: bool,
    ) -> Result<Arena> {
        check(prompts, self.dims)?;
        prompts.fit_vocabularies(&self.graph)?;
        let (Step { plan, objective, math, .. }, loops) = (step, loops(step, prompts)?);
        let training = Some(([loops.free, loops.window, loops.counted], objective));
        let key = Key { shapes: shapes(prompts), math, training, updates, loops: plan.loops };
        let compiled = self.compiled(memory, key, |of| Stage::training(of, loops, updates))?;
        let Some((arena, Compiled { stage, .. })) = compiled else { return Err(lost()) };
        arena.write_floats(self.front.share, &[loops.weight as f32]).map_err(told)?;
        for part in &stage.parts {
            self.feed(&arena, part.input, &batch::tokens(prompts, &part.chunk, &self.graph))?;
            if let Some(targets) = part.targets {
                self.feed(&arena, targets, &batch::targets(prompts, &part.chunk))?;
            }
        }
        Ok(arena)
    }

    /// Those of a layout's numbers that belong to parameters.
    pub(crate) fn of_parameters(&self, all: &[f32]) -> Flat {
        let mut flat = Flat::zeros(Arc::clone(self.flat.params()));
        let len = flat.len();
        flat.copy_from_slice(&all[..len]);
        flat
    }

    /// Times a training step on the GPU: all of it as one captured graph, and each of its operations alone.
    ///
    /// # Errors
    /// As [`CudaModel::step`].
    pub fn profile(&self, store: &ParamStore, prompts: &Prompts, step: Step) -> Result<Profile> {
        self.step(store, prompts, step)?;
        let memory = self.memory();
        let Some((_, Compiled { stage, program, .. })) = memory.known.last() else { return Err(lost()) };
        Profile::of(program, &stage.operations, stage.bytes).map_err(told)
    }

    /// This model with the parameters of `store`, to be asked for predictions.
    #[must_use]
    pub fn predictor<'a>(&'a self, store: &'a ParamStore, math: Math) -> CudaPredictor<'a> {
        CudaPredictor { model: self, store, math }
    }

    pub(crate) fn memory(&self) -> MutexGuard<'_, Memory> {
        // What a panicking thread leaves behind is written anew by each call.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the parameters of `store` in place, with the rows that the host computes of them: these are returned, if there are any.
    pub(crate) fn write_parameters(
        &self,
        arena: &Arena,
        store: &ParamStore,
        each_loop: EachLoop,
        loops: usize,
    ) -> Result<Option<Vec<f32>>> {
        if !self.rows_on_host {
            let values = store.values();
            self.check_flat(&values)?;
            arena.write_floats(self.params(self.front.values), &values).map_err(told)?;
            return Ok(None);
        }
        let mut values = vec![0.0; self.flat.len_for(loops)];
        self.flat.read(&store.values(), &mut values)?;
        once_forward(&self.graph, &self.flat, &mut values, loops);
        let (first, own) = values.split_at(self.flat.len);
        arena.write_floats(self.front.values, first).map_err(told)?;
        self.feed(arena, each_loop.values, own)?;
        Ok(Some(values))
    }

    /// The parameters' gradients; `rows` is what [`CudaModel::write_parameters`] returned.
    pub(crate) fn read_gradients(
        &self,
        arena: &Arena,
        rows: Option<Vec<f32>>,
        each_loop: EachLoop,
        loops: usize,
    ) -> Result<Flat> {
        let Some(values) = rows else {
            let mut flat = Flat::zeros(Arc::clone(self.flat.params()));
            arena.read_floats_to(self.params(self.front.grads), &mut flat).map_err(told)?;
            return Ok(flat);
        };
        let mut all = arena.read_floats(self.front.grads).map_err(told)?;
        if each_loop.grads.len() > 0 {
            all.extend(arena.read_floats(each_loop.grads).map_err(told)?);
        }
        once_backward(&self.graph, &self.flat, &values, &mut all, loops);
        Ok(self.of_parameters(&all))
    }

    /// The parameters' part of a place for all rows.
    pub(crate) fn params(&self, span: Span) -> Span {
        span.part(0, self.flat.params().len())
    }

    /// Whether the model can stay on the GPU from step to step: if the host has nothing to compute of its parameters.
    #[must_use]
    pub const fn can_be_held(&self) -> bool {
        !self.rows_on_host
    }

    /// Refuses numbers of other parameters than the model's.
    pub(crate) fn check_flat(&self, flat: &Flat) -> Result<()> {
        self.flat.check(flat)
    }

    /// The arena; at first one with room for what lies first in it.
    pub(crate) fn arena(&self, memory: &mut Memory) -> Result<Arena> {
        if let Some(arena) = &memory.arena {
            return Ok(arena.clone());
        }
        let mut layout = looped_gpu::Layout::default();
        Front::new(&mut layout, self.flat.len);
        let arena = Arena::new(&self.device, layout.bytes()).map_err(told)?;
        (memory.arena, memory.bytes) = (Some(arena.clone()), layout.bytes());
        Ok(arena)
    }

    pub(crate) fn feed(&self, arena: &Arena, span: Span, values: &[f32]) -> Result<()> {
        if span.len() == 0 { Ok(()) } else { arena.write_floats(span, values).map_err(told) }
    }

    /// What was put together for a key, in the last place of what is known.
    fn compiled<'m>(
        &self,
        memory: &'m mut Memory,
        key: Key,
        stage: impl FnOnce(Of<'_>) -> looped_gpu::Result<Stage>,
    ) -> Result<Option<(Arena, &'m Compiled)>> {
        let found = memory.known.iter().position(|(known, _)| *known == key);
        let last = found.is_some_and(|found| found + 1 == memory.known.len());
        let prepared = last && memory.prepared == Some(Prepared::Whole);
        memory.prepared = None;
        if let Some(found) = found {
            let found = memory.known.remove(found);
            memory.known.push(found);
        } else {
            let lowered = self.lowered(&key.shapes)?;
            let stage = stage(self.of(&lowered, &key.shapes, key.math)).map_err(told)?;
            let arena = self.arena_of(memory, stage.bytes)?;
            let program = Ready::new(&arena, &stage.operations, Options::default()).map_err(told)?;
            if memory.known.len() >= KEPT {
                memory.known.remove(0);
            }
            memory.known.push((key, Compiled { stage, program, graph: None, calls: 0 }));
        }
        let Some(arena) = memory.arena.clone() else { return Ok(None) };
        let Some((_, compiled)) = memory.known.last() else { return Ok(None) };
        // Else others have used the memory meanwhile.
        if !prepared {
            compiled.stage.prepare(&arena).map_err(told)?;
        }
        memory.prepared = Some(Prepared::Whole);
        Ok(Some((arena, compiled)))
    }

    /// The model as steps for prompts of a shape.
    pub(crate) fn lowered(&self, shapes: &Shapes) -> Result<Program> {
        Program::new(&self.graph, shapes, &self.cells).map_err(Error::Data)
    }

    /// The same as it is translated.
    pub(crate) fn of<'a>(&'a self, program: &'a Program, shapes: &Shapes, math: Math) -> Of<'a> {
        let (graph, flat, cells) = (&*self.graph, &self.flat, &self.cells);
        Of { graph, flat, math, program, cells, tokens: shapes.tokens }
    }

    /// Whether each loop has parameters of its own, or rows computed of them.
    pub(crate) fn has_by_loop(&self) -> bool {
        let mut shared = Program::shared(&self.graph).into_values();
        shared.any(|row| matches!(row, Shared::Loop { .. } | Shared::EachLoop(_)))
    }

    /// The arena, of so many bytes at least.
    pub(crate) fn arena_of(&self, memory: &mut Memory, bytes: usize) -> Result<Arena> {
        if bytes > memory.bytes {
            self.grow(memory, bytes)?;
        }
        memory.arena.clone().ok_or_else(lost)
    }

    /// Takes more memory. What is held goes over to it, and stays where there isn't so much.
    fn grow(&self, memory: &mut Memory, bytes: usize) -> Result<()> {
        let (held, before) = (self.kept(memory)?, memory.bytes);
        // Programs know their memory by address: they go with it.
        *memory = Memory::default();
        let mut take = |bytes: usize| -> Result<()> {
            let arena = Arena::new(&self.device, bytes).map_err(told)?;
            if let Some(held) = &held {
                self.keep(&arena, held)?;
                memory.held = true;
            }
            (memory.arena, memory.bytes) = (Some(arena), bytes);
            Ok(())
        };
        take(bytes).or_else(|refused| {
            if held.is_some() {
                take(before)?;
            }
            Err(refused)
        })
    }

    /// Runs what was put together last.
    pub(crate) fn run_last(&self, memory: &mut Memory) -> Result<()> {
        let Some((_, compiled)) = memory.known.last_mut() else { return Err(lost()) };
        compiled.calls += 1;
        // The first time, operation after operation: libraries load what they need then.
        if compiled.calls == 1 {
            return compiled.program.run().map_err(told);
        }
        if compiled.graph.is_none() {
            compiled.graph = Some(compiled.program.capture(0..compiled.program.len()).map_err(told)?);
        }
        compiled.graph.as_ref().map_or(Ok(()), |graph| graph.replay().map_err(told))
    }

    fn predict_some(
        &self,
        store: &ParamStore,
        prompts: &Prompts,
        loops: usize,
        math: Math,
    ) -> Result<Vec<f32>> {
        let key = Key { shapes: shapes(prompts), math, training: None, updates: false, loops };
        let mut memory = self.memory();
        let held = memory.held;
        let compiled = self.compiled(&mut memory, key, |of| Stage::predicting(of, loops))?;
        let Some((arena, Compiled { stage, .. })) = compiled else { return Err(lost()) };
        for part in &stage.parts {
            self.feed(&arena, part.input, &batch::tokens(prompts, &part.chunk, &self.graph))?;
        }
        let each_loop = stage.each_loop;
        if !held {
            self.write_parameters(&arena, store, each_loop, loops)?;
        }
        self.run_last(&mut memory)?;
        let Some((_, Compiled { stage, .. })) = memory.known.last() else { return Err(lost()) };
        let width = self.graph.read().map_or(0, |read| self.graph.shape(read).width);
        let after = prompts.prompts * prompts.points * width;
        let mut all = vec![0.0; loops * after];
        for part in &stage.parts {
            let read: Vec<Vec<f32>> = part
                .predictions
                .iter()
                .filter(|span| span.len() > 0)
                .map(|span| arena.read_floats(*span).map_err(told))
                .collect::<Result<_>>()?;
            // Those of early tokens are the same after every loop.
            let Some(last) = read.last() else { continue };
            for (index, to) in all.chunks_exact_mut(after.max(1)).enumerate() {
                batch::spread(prompts, &part.chunk, width, read.get(index).unwrap_or(last), to);
            }
        }
        Ok(all)
    }
}

/// The name of the card `cuda:ordinal`, if there is one that the engine can use. Nothing is begun on it.
///
/// # Errors
/// If there isn't: what is missing, in few words.
pub fn found(ordinal: usize) -> std::result::Result<String, String> {
    Device::find(ordinal).map_err(|error| error.in_short())
}

/// The name of the card `cuda:ordinal`, if it can be used: it is opened.
///
/// # Errors
/// If it can't: what is missing is said.
pub fn card(ordinal: usize) -> Result<String> {
    Ok(Device::open(ordinal).map_err(told)?.name().to_owned())
}

fn loops(step: Step, prompts: &Prompts) -> Result<Loops> {
    let Step { plan, loss_loops, objective, .. } = step;
    let precision = looped_cpu::Precision::F32;
    Loops::new(looped_cpu::Step { plan, loss_loops, objective, precision }, prompts)
}

pub(crate) fn shapes(prompts: &Prompts) -> Shapes {
    PromptShape::of(prompts).shapes()
}

/// An engine that forgot what it has just put together.
pub(crate) fn lost() -> Error {
    Error::Device("the CUDA engine has lost its operations: this is a mistake in it".to_owned())
}

/// A [`CudaModel`] with its parameters.
pub struct CudaPredictor<'a> {
    model: &'a CudaModel,
    store: &'a ParamStore,
    math: Math,
}

impl Predictor for CudaPredictor<'_> {
    fn predict(&self, prompts: &Prompts, loops: usize) -> Result<Predictions> {
        let model = self.model;
        check(prompts, model.dims)?;
        prompts.fit_vocabularies(&model.graph)?;
        let width = model.graph.read().map_or(0, |read| model.graph.shape(read).width);
        let each = prompts.points * width;
        let at_once = (ROWS / prompts.layout.tokens(prompts.points).max(1)).clamp(1, prompts.prompts);
        let mut all = vec![0.0; loops * prompts.prompts * each];
        for first in (0..prompts.prompts).step_by(at_once) {
            let range = first..(first + at_once).min(prompts.prompts);
            let some = model.predict_some(self.store, &prompts.slice(range.clone()), loops, self.math)?;
            let pairs = some
                .chunks_exact((range.len() * each).max(1))
                .zip(all.chunks_exact_mut((prompts.prompts * each).max(1)));
            for (own, all) in pairs {
                all[range.start * each..range.end * each].copy_from_slice(own);
            }
        }
        Ok(Predictions { values: all, width, loops, prompts: prompts.prompts, points: prompts.points })
    }
}
