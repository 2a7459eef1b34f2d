//! One thread's part of a step or of predictions.

use std::ops::Range;

use looped_core::Prompts;
use looped_graph::TraceError;
use looped_graph::lower::{Chunk, Early, Looped, Place};
use looped_ops::{AlignedBuffer, Scratch};

use crate::hunt::Hunt;
use crate::memory::Memory;
use crate::plan::Loops;
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
    /// Begins the work on a chunk, with room for so many slots of `slot` floats.
    fn run<'a>(
        &'a mut self,
        job: &Job<'a>,
        compiled: &'a Compiled,
        (slots, slot): (usize, usize),
        grads: &'a mut [f32],
    ) -> Run<'a> {
        let Self { memory, scratch, hunt } = self;
        let Compiled { program, codes, turns } = compiled;
        memory.fit(program.sizes, slots, slot);
        if hunt.dead_is_nan {
            memory.spoil();
        }
        let Job { weights, plans, .. } = *job;
        let (hunt, fault) = (*hunt, None);
        Run { weights, plans, memory, grads, scratch, codes, turns, index: 0, backward: false, hunt, fault }
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
        if self.grads.len() == len {
            self.grads.fill(0.0);
        } else {
            self.grads = AlignedBuffer::zeros(len);
        }
    }

    /// Adds the loss and gradients of the prompts `range`.
    pub(crate) fn train(&mut self, job: Job<'_>, compiled: &Compiled, range: Range<usize>, loops: Loops) {
        let Self { loss, grads, bench, fault, .. } = self;
        if fault.is_some() {
            return;
        }
        let (program, prompts) = (&compiled.program, job.prompts);
        let mut run = bench.run(&job, compiled, (loops.window, program.sizes.slot), grads);
        let first = range.start;
        if let Some(early) = &program.early {
            *loss += run.early(early, prompts, first, loops);
        }
        if let Some(looped) = &program.looped {
            *loss += run.looped(looped, prompts, first, loops);
        }
        if let Some(early) = &program.early {
            run.backward = true;
            run.list(&early.steps.backward, &early.chunk, 0);
        }
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
        let mut run = bench.run(&job, compiled, (1, slot), &mut []);
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
        let mut run = bench.run(&job, compiled, (0, 0), &mut []);
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

impl<'a> Run<'a> {
    /// Writes the rows of the chunk's tokens, of the prompts from `first` on, to where the graph's input belongs.
    fn write_tokens(&mut self, prompts: &Prompts, first: usize, chunk: &Chunk, input: Place) {
        // Nothing is read of a prompt whose graph has no input.
        let (width, noise) = (self.weights.graph.input_width().max(1), self.weights.graph.noise_width());
        for (i, row) in self.memory.one(input, 0).chunks_exact_mut(width).enumerate() {
            prompts.write_row(first + i / chunk.tokens, chunk.first + i % chunk.tokens, noise, row);
        }
    }

    /// Runs the early tokens, whose predictions count once for every loop that enters the loss.
    fn early(&mut self, early: &'a Early, prompts: &Prompts, first: usize, loops: Loops) -> f64 {
        let chunk = &early.chunk;
        self.write_tokens(prompts, first, chunk, early.input);
        self.list(&early.steps.forward, chunk, 0);
        for place in &early.left {
            self.memory.one(*place, 0).fill(0.0);
        }
        let [predictions, slopes] = self.memory.at([early.predictions, early.slopes], 0);
        loops.loss(prompts, first, chunk, loops.counted, predictions, slopes)
    }

    /// Runs the loops forward and those of the window backward.
    fn looped(&mut self, looped: &'a Looped, prompts: &Prompts, first: usize, loops: Loops) -> f64 {
        let chunk = &looped.chunk;
        self.write_tokens(prompts, first, chunk, looped.input);
        // The state that enters a window after loops without gradient is a constant.
        let prelude = if loops.free == 0 { &looped.prelude_from_state } else { &looped.prelude };
        self.list(&prelude.forward, chunk, 0);
        for index in 0..loops.free {
            self.index = index;
            self.list(&looped.free, chunk, 0);
        }
        let (last, uncounted) = (loops.window - 1, loops.window - loops.counted);
        let mut loss = 0.0;
        for slot in 0..loops.window {
            self.index = loops.free + slot;
            self.list(if slot == last { &looped.last.forward } else { &looped.body.forward }, chunk, slot);
            if slot >= uncounted {
                if slot < last {
                    self.list(&looped.read.forward, chunk, slot);
                }
                let [predictions, slopes] = self.memory.at([looped.predictions, looped.slopes], slot);
                loss += loops.loss(prompts, first, chunk, 1, predictions, slopes);
            }
        }
        self.backward = true;
        for place in &looped.shared {
            self.memory.one(*place, 0).fill(0.0);
        }
        for slot in (0..loops.window).rev() {
            self.index = loops.free + slot;
            if slot >= uncounted && slot < last {
                self.list(&looped.read.backward, chunk, slot);
            }
            self.list(if slot == last { &looped.last.backward } else { &looped.body.backward }, chunk, slot);
        }
        self.list(&prelude.backward, chunk, 0);
        loss
    }
}
