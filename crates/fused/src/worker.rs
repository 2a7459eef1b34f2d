//! One thread's part of a step or of predictions.

use std::ops::Range;

use looped_core::Prompts;
use looped_ops::AlignedBuffer;

use crate::bench::Bench;
use crate::inject::Injection;
use crate::plan::{Loops, Tokens};
use crate::prefix::Prefix;
use crate::stack::{Stack, interleave};
use crate::window::{Task, Window};

/// What one thread owns; its memory grows to what the largest chunk needs, and stays.
#[derive(Default)]
pub(crate) struct Worker {
    /// The loss of this step's chunks so far, and its gradients.
    pub(crate) loss: f64,
    pub(crate) grads: AlignedBuffer,
    bench: Bench,
    prefix: Prefix,
    window: Window,
    asked: Asked,
}

/// What is kept while predicting.
#[derive(Default)]
struct Asked {
    tokens: AlignedBuffer,
    input: AlignedBuffer,
    x: AlignedBuffer,
    predictions: AlignedBuffer,
}

impl Worker {
    /// Begins a step of a model with `len` parameters.
    pub(crate) fn start(&mut self, len: usize) {
        self.loss = 0.0;
        self.grads.resize(len);
        self.grads.fill(0.0);
    }

    /// Adds the loss and gradients of the prompts `range`.
    pub(crate) fn train(
        &mut self,
        stack: &Stack<'_>,
        prompts: &Prompts,
        range: Range<usize>,
        tokens: Tokens,
        loops: Loops,
    ) {
        let first = range.start;
        let (prefix, suffix) = tokens.of(range.len());
        self.prefix.forward(stack, prompts, first, prefix, &mut self.bench, true);
        self.loss += self.prefix.loss(prompts, first, prefix, loops);
        if suffix.tokens > 0 {
            let task = Task { stack, prompts, first, chunk: suffix, injection: tokens.injection, loops };
            let memory = &mut self.prefix.memory;
            self.loss += self.window.train(task, memory, &mut self.bench, &mut self.grads);
        }
        self.prefix.backward(stack, prompts.points, prefix, &mut self.bench, &mut self.grads);
    }

    /// The predictions of the prompts `range` after each loop: (loops, prompts, points).
    pub(crate) fn predict(
        &mut self,
        stack: &Stack<'_>,
        prompts: &Prompts,
        range: Range<usize>,
        tokens: Tokens,
        loops: usize,
    ) -> &[f32] {
        let Self { bench, prefix: early, asked, .. } = self;
        let (prefix, suffix) = tokens.of(range.len());
        early.forward(stack, prompts, range.start, prefix, bench, false);
        let state = stack.state_len(suffix);
        asked.tokens.resize(suffix.rows() * stack.n_dims);
        asked.input.resize(state);
        asked.x.resize(state);
        interleave(prompts, range.start, suffix, &mut asked.tokens);
        stack.embed(&asked.tokens, &mut asked.input, &mut bench.kernel_scratch);
        let injection = Injection::start(stack, tokens.injection, suffix, &mut asked.input, &mut asked.x);
        asked.predictions.resize(loops * range.len() * prompts.points);
        for after in asked.predictions.chunks_exact_mut(range.len() * prompts.points) {
            after.copy_from_slice(&early.predictions);
            if suffix.tokens > 0 {
                bench.advance(stack, suffix, &mut asked.x, &early.memory.values, &mut []);
                stack.read_out(suffix, prompts.points, &asked.x, after);
                injection.apply(stack, &mut asked.x);
            }
        }
        &asked.predictions
    }
}
