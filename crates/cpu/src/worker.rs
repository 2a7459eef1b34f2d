//! One thread's part of a step or of predictions.

use std::ops::Range;

use looped_core::{Policy, Prompts};
use looped_graph::TraceError;
use looped_graph::lower::{Chunk, Place};
use looped_ops::{AlignedBuffer, Scratch};

use crate::body::{ChunkBody, Notes};
use crate::hunt::Hunt;
use crate::memory::Memory;
use crate::plan::LossOf;
use crate::plans::Plans;
use crate::point::Compiled;
use crate::run::Run;
use crate::weights::Weights;

/// What one thread owns; its memory grows to what the largest chunk needs, and stays.
#[derive(Default)]
pub(crate) struct Worker {
    /// The loss of this step's chunks so far, and its gradients.
    pub(crate) loss: f64,
    pub(crate) grads: AlignedBuffer,
    /// What this step's chunks noted.
    pub(crate) notes: Notes,
    /// Where gradients go that aren't wanted; empty until there are any.
    waste: AlignedBuffer,
    bench: Bench,
    predictions: Vec<f32>,
    /// What kept it from ending its work.
    pub(crate) fault: Option<TraceError>,
}

/// What a thread works with, whatever it computes.
#[derive(Default)]
struct Bench {
    memory: Memory,
    scratch: Scratch,
    hunt: Hunt,
}

impl Bench {
    /// Begins the work on a chunk, with room for so many slots of `slot` floats, and a head of one more.
    fn run<'a>(
        &'a mut self,
        job: &Job<'a>,
        compiled: &'a Compiled,
        room: (usize, usize, usize),
        grads: &'a mut [f32],
    ) -> Run<'a> {
        let Self { memory, scratch, hunt } = self;
        let Compiled { program, codes, turns } = compiled;
        memory.fit(program.sizes, room);
        if hunt.dead_is_nan {
            memory.spoil();
        }
        let Job { weights, plans, .. } = *job;
        let (hunt, fault) = (*hunt, None);
        let (backward, state_alone) = (false, false);
        Run {
            weights,
            plans,
            memory,
            grads,
            scratch,
            codes,
            turns,
            index: 0,
            backward,
            state_alone,
            hunt,
            fault,
        }
    }
}

/// What all threads work on.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) weights: &'a Weights<'a>,
    pub(crate) plans: &'a Plans,
    pub(crate) prompts: &'a Prompts,
}

impl Worker {
    /// Begins a call.
    pub(crate) fn begin(&mut self, hunt: Hunt) {
        self.bench.hunt = hunt;
        self.fault = None;
    }

    /// Begins a step of a model with `len` parameters.
    pub(crate) fn start(&mut self, len: usize, hunt: Hunt) {
        self.begin(hunt);
        self.loss = 0.0;
        self.notes.clear();
        if self.grads.len() == len {
            self.grads.fill(0.0);
        } else {
            self.grads = AlignedBuffer::zeros(len);
        }
    }

    /// Adds the loss and gradients of the prompts `range`; the policy's slots are given.
    pub(crate) fn train(
        &mut self,
        job: Job<'_>,
        compiled: &Compiled,
        range: Range<usize>,
        (policy, of): (&dyn Policy, LossOf),
        (slots, whole): (usize, bool),
    ) {
        let Self { loss, grads, bench, fault, notes, waste, .. } = self;
        if fault.is_some() {
            return;
        }
        let program = &compiled.program;
        if whole {
            waste.resize(grads.len());
        }
        let head = program.looped.as_ref().map_or(0, |looped| looped.state.len as usize);
        let head = if whole { head.next_multiple_of(16) } else { 0 };
        let mut run = bench.run(&job, compiled, (slots, program.sizes.slot, head), grads);
        let mut body = ChunkBody::new(&mut run, program, (job.prompts, range), of, notes, waste);
        if let Some(early) = &program.early {
            body.begin_early(early);
        }
        let of_loops = policy.run(&mut body);
        if let Some(early) = &program.early {
            *loss += body.end_early(early);
        }
        *loss += of_loops;
        *fault = run.fault;
    }

    /// The predictions of the prompts `range` after each loop, of `width` numbers: (loops, prompts, points, width).
    pub(crate) fn predict(
        &mut self,
        job: Job<'_>,
        compiled: &Compiled,
        range: Range<usize>,
        loops: usize,
        width: usize,
    ) -> &[f32] {
        let Self { bench, predictions, fault, .. } = self;
        let (program, prompts) = (&compiled.program, job.prompts);
        // Nothing is kept of a loop but the state.
        let slot = program.looped.as_ref().map_or(0, |looped| looped.state.len as usize).next_multiple_of(16);
        let mut run = bench.run(&job, compiled, (1, slot, 0), &mut []);
        let after = range.len() * prompts.points * width;
        predictions.clear();
        predictions.resize(loops * after, 0.0);
        if let Some(early) = &program.early {
            run.write_tokens(prompts, range.start, &early.chunk, early.input);
            run.list(&early.ask, &early.chunk, 0);
            for predictions in predictions.chunks_exact_mut(after) {
                spread(prompts, &early.chunk, width, run.memory.one(early.predictions, 0), predictions);
            }
        }
        if let Some(looped) = &program.looped {
            let chunk = &looped.chunk;
            run.write_tokens(prompts, range.start, chunk, looped.input);
            run.list(&looped.prelude.forward, chunk, 0);
            for (index, predictions) in predictions.chunks_exact_mut(after).enumerate() {
                run.index = index;
                run.list(&looped.free, chunk, 0);
                run.list(&looped.ask, chunk, 0);
                spread(prompts, chunk, width, run.memory.one(looped.predictions, 0), predictions);
            }
        }
        *fault = fault.take().or(run.fault);
        predictions
    }
}

impl Worker {
    /// Runs loops over the prompts `range` and shows what is looked at after each: `see` gets the loop, from 0, which value it is, and its rows.
    pub(crate) fn watch(
        &mut self,
        job: Job<'_>,
        compiled: &Compiled,
        range: Range<usize>,
        loops: usize,
        mut see: impl FnMut(usize, usize, &[f32]),
    ) {
        let Self { bench, fault, .. } = self;
        let Some(watched) = &compiled.program.watched else { return };
        let chunk = &watched.chunk;
        let mut run = bench.run(&job, compiled, (0, 0, 0), &mut []);
        run.write_tokens(job.prompts, range.start, chunk, watched.input);
        run.list(&watched.prelude, chunk, 0);
        for index in 0..loops {
            run.index = index;
            run.list(&watched.each, chunk, 0);
            for (which, place) in watched.seen.iter().enumerate() {
                see(index, which, run.memory.one(*place, 0));
            }
        }
        *fault = fault.take().or(run.fault);
    }
}

/// Writes a chunk's predictions (prompts, reads, width) to their points of (prompts, points, width).
fn spread(prompts: &Prompts, chunk: &Chunk, width: usize, from: &[f32], to: &mut [f32]) {
    let each = (chunk.reads.len() * width).max(1);
    for (from, to) in from.chunks_exact(each).zip(to.chunks_exact_mut(prompts.points * width)) {
        for (read, prediction) in chunk.reads.iter().zip(from.chunks_exact(width)) {
            let point = prompts.layout.point(chunk.first + read);
            to[point * width..(point + 1) * width].copy_from_slice(prediction);
        }
    }
}

impl Run<'_> {
    /// Writes the rows of the chunk's tokens, of the prompts from `first` on, to where the graph's input belongs.
    pub(crate) fn write_tokens(&mut self, prompts: &Prompts, first: usize, chunk: &Chunk, input: Place) {
        // Nothing is read of a prompt whose graph has no input.
        let (width, noise) = (self.weights.graph.input_width().max(1), self.weights.graph.noise_width());
        for (i, row) in self.memory.one(input, 0).chunks_exact_mut(width).enumerate() {
            prompts.write_row(first + i / chunk.tokens, chunk.first + i % chunk.tokens, noise, row);
        }
    }
}
