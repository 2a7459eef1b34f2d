//! All operations of a training step, or of predictions, for prompts of one shape.

use looped_core::Objective;
use looped_cpu::engines::{Layout as Flat, Loops};
use looped_gpu::calls::{Adam, Calls, Loss, Losses, Own};
use looped_gpu::{Arena, Layout, Math, Operation, Result, Span};
use looped_graph::Graph;
use looped_graph::lower::{Chunk, Early, Looped, Program};

use crate::cells::Cells;
use crate::custom;
use crate::emit::{Constant, Emit, Pair, Run, clear};
use crate::once;
use crate::places::{EachLoop, Front, Places};
use crate::point;

/// What a batch brings for one part of its tokens.
pub(crate) struct Part {
    pub(crate) chunk: Chunk,
    /// The tokens' place.
    pub(crate) input: Span,
    /// The targets' place, in training.
    pub(crate) targets: Option<Span>,
    /// The predictions' places: after each loop, or once for all loops.
    pub(crate) predictions: Vec<Span>,
}

/// Operations with the places that a caller reads and writes.
pub(crate) struct Stage {
    pub(crate) operations: Vec<Operation>,
    pub(crate) bytes: usize,
    pub(crate) parts: Vec<Part>,
    pub(crate) each_loop: EachLoop,
    constants: Vec<Constant>,
}

/// A model as it is translated.
#[derive(Clone, Copy)]
pub(crate) struct Of<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) flat: &'a Flat,
    pub(crate) math: Math,
    pub(crate) program: &'a Program,
    pub(crate) cells: &'a Cells,
    /// Tokens of a prompt.
    pub(crate) tokens: usize,
}

impl Of<'_> {
    /// The kernels that are written for the model: its elementwise programs, its recurrences' cells, operations of one's own, and rows that are
    /// computed of parameters alone; `None` if there are none.
    pub(crate) fn kernels(&self) -> Option<Own> {
        let cells = self.cells.texts(self.math == Math::Bf16);
        let text = point::texts(self.program, cells + &custom::texts(self.graph) + &once::texts(self.graph));
        (!text.is_empty()).then(|| Own::new(text))
    }
}

impl Stage {
    /// A training step: the loss and every gradient, and, if it `updates`, Adam's update by them.
    pub(crate) fn training(of: Of<'_>, loops: Loops, updates: bool) -> Result<Self> {
        let Of { graph, flat, math, program, cells, tokens } = of;
        let mut layout = Layout::default();
        let slots = [loops.window, program.sizes.slot];
        let front = Front::new(&mut layout, flat.len);
        let each_loop = flat.len_for(loops.free + loops.window) - flat.len;
        let places = Places::new(&mut layout, front, each_loop, math == Math::Bf16, program.sizes, slots);
        let rows = |chunk: &Chunk| chunk.read_rows();
        let early_blocks = program.early.as_ref().map_or(0, |of| Calls::loss_blocks(rows(&of.chunk)));
        let looped_blocks = program.looped.as_ref().map_or(0, |of| Calls::loss_blocks(rows(&of.chunk)));
        let losses = layout.floats(early_blocks + loops.counted * looped_blocks);
        let own = of.kernels();
        let mut training = Training {
            emit: Emit::new(graph, flat, math, layout, places, own, cells, tokens),
            loops,
            share: front.share,
            losses,
            lost: 0,
            parts: Vec::new(),
        };
        training.emit.once_forward()?;
        training.emit.round_parameters()?;
        training.emit.push(clear(front.grads));
        if each_loop > 0 {
            let grads = training.emit.places.each_loop.grads;
            training.emit.push(clear(grads));
        }
        if let Some(early) = &program.early {
            training.early(early)?;
        }
        if let Some(looped) = &program.looped {
            training.looped(looped)?;
        }
        if let Some(early) = &program.early {
            let pair =
                training.emit.pair([&early.steps.forward, &early.steps.backward], &early.chunk, NOTHING);
            training.emit.list(1, once(&pair, &early.chunk))?;
        }
        let Training { mut emit, parts, .. } = training;
        emit.finish()?;
        emit.once_backward()?;
        let total = emit.calls().loss_total(losses, front.loss())?;
        emit.push(total);
        if updates {
            let (calls, squares) = (emit.calls(), emit.layout.floats(SQUARES));
            let settings = front.settings;
            let [parameters, gradients, first, second] =
                [front.values, front.grads, front.moments[0], front.moments[1]]
                    .map(|span| span.part(0, flat.params().len()));
            for operation in calls.decide(gradients, squares, settings, front.decision())? {
                emit.push(operation);
            }
            let update = Adam { parameters, gradients, first, second, low: None };
            emit.push(calls.adam(&update, settings, front.decision())?);
        }
        Ok(Self::done(emit, parts))
    }

    /// The predictions after each of so many loops.
    pub(crate) fn predicting(of: Of<'_>, loops: usize) -> Result<Self> {
        let Of { graph, flat, math, program, cells, tokens } = of;
        let mut layout = Layout::default();
        // Nothing is kept of a loop but the state.
        let slot = program.looped.as_ref().map_or(0, |looped| looped.state.len as usize).next_multiple_of(16);
        let front = Front::new(&mut layout, flat.len);
        let each_loop = flat.len_for(loops) - flat.len;
        let places = Places::new(&mut layout, front, each_loop, math == Math::Bf16, program.sizes, [1, slot]);
        let own = of.kernels();
        let mut emit = Emit::new(graph, flat, math, layout, places, own, cells, tokens);
        emit.once_forward()?;
        emit.round_parameters()?;
        let mut parts = Vec::new();
        if let Some(early) = &program.early {
            let pair = emit.pair([&early.ask, &[]], &early.chunk, NOTHING);
            emit.list(0, once(&pair, &early.chunk))?;
            parts.push(Part {
                chunk: early.chunk.clone(),
                input: emit.places.at(early.input, 0),
                targets: None,
                predictions: vec![emit.places.at(early.predictions, 0)],
            });
        }
        if let Some(looped) = &program.looped {
            let chunk = &looped.chunk;
            let pair = |emit: &Emit<'_>, list| emit.pair([list, &[]], chunk, NOTHING);
            let (prelude, free, ask) = (
                pair(&emit, &looped.prelude.forward[..]),
                pair(&emit, &looped.free[..]),
                pair(&emit, &looped.ask[..]),
            );
            emit.list(0, once(&prelude, chunk))?;
            let from = emit.places.at(looped.predictions, 0);
            let mut predictions = Vec::new();
            for index in 0..loops {
                let runs = [index, loops];
                emit.list(0, Run { index, runs, ..once(&free, chunk) })?;
                emit.list(0, Run { index, runs, ..once(&ask, chunk) })?;
                if from.len() > 0 {
                    let to = emit.layout.floats(from.len());
                    let copy = emit.calls().copy_rows(from, to)?;
                    emit.push(copy);
                    predictions.push(to);
                }
            }
            let input = emit.places.at(looped.input, 0);
            parts.push(Part { chunk: chunk.clone(), input, targets: None, predictions });
        }
        Ok(Self::done(emit, parts))
    }

    fn done(emit: Emit<'_>, parts: Vec<Part>) -> Self {
        let Emit { operations, layout, constants, places, .. } = emit;
        Self { operations, bytes: layout.bytes(), parts, each_loop: places.each_loop, constants }
    }

    /// Writes what is the same for all batches.
    pub(crate) fn prepare(&self, arena: &Arena) -> Result<()> {
        self.constants.iter().try_for_each(|constant| constant.write(arena))
    }
}

/// Blocks that share the sum of the gradients' squares.
const SQUARES: usize = 264;

/// No part of a loop's slot is a list's own.
const NOTHING: u32 = u32::MAX;

fn once<'c>(pair: &'c Pair<'c>, chunk: &'c Chunk) -> Run<'c> {
    Run { pair, chunk, slot: 0, index: 0, runs: [0, 1] }
}

fn loss_of(objective: Objective) -> Loss {
    match objective {
        Objective::SquaredError => Loss::Squared,
        Objective::CrossEntropy => Loss::Logistic,
        Objective::Classes => Loss::Classes,
    }
}

struct Training<'a> {
    emit: Emit<'a>,
    loops: Loops,
    share: Span,
    losses: Span,
    /// Places of `losses` that are taken.
    lost: usize,
    parts: Vec<Part>,
}

impl Training<'_> {
    /// The loss of the predictions after `loops` loops, each of which counts so many `times`. `slopes` has the gradients with respect to them, from
    /// the first loop's to the last's, which begin `apart` floats after one another.
    fn loss(
        &mut self,
        targets: Span,
        predictions: Span,
        (slopes, apart): (Span, usize),
        [loops, times]: [usize; 2],
    ) -> Result<()> {
        if targets.len() == 0 {
            return Ok(());
        }
        let len = loops * Calls::loss_blocks(targets.len());
        let partials = self.losses.part(self.lost, len);
        self.lost += len;
        let (loss, share, times) = (loss_of(self.loops.objective), self.share, times as f32);
        let of = Losses { loss, loops, predictions, targets, slopes, apart, share, times, partials };
        let operation = self.emit.calls().losses(&of)?;
        self.emit.push(operation);
        Ok(())
    }

    /// The early tokens, whose predictions count once for every loop that enters the loss.
    fn early(&mut self, early: &Early) -> Result<()> {
        let chunk = &early.chunk;
        let pair = self.emit.pair([&early.steps.forward, &early.steps.backward], chunk, NOTHING);
        self.emit.list(0, once(&pair, chunk))?;
        for place in &early.left {
            let span = self.emit.places.at(*place, 0);
            if span.len() > 0 {
                self.emit.push(clear(span));
            }
        }
        let targets = self.emit.layout.floats(chunk.read_rows());
        let [input, predictions, slopes] =
            [early.input, early.predictions, early.slopes].map(|place| self.emit.places.at(place, 0));
        self.parts.push(Part { chunk: chunk.clone(), input, targets: Some(targets), predictions: vec![] });
        self.loss(targets, predictions, (slopes, slopes.len()), [1, self.loops.counted])
    }

    /// The loops forward and those of the window backward.
    fn looped(&mut self, looped: &Looped) -> Result<()> {
        let (chunk, loops) = (&looped.chunk, self.loops);
        let targets = self.emit.layout.floats(chunk.read_rows());
        let input = self.emit.places.at(looped.input, 0);
        self.parts.push(Part { chunk: chunk.clone(), input, targets: Some(targets), predictions: vec![] });
        // The state that enters a window after loops without gradient is a constant.
        let prelude = if loops.free == 0 { &looped.prelude_from_state } else { &looped.prelude };
        // The state and the predictions' slopes come first in a slot, and are everybody's.
        let own = looped.slopes.start + looped.slopes.len;
        let [prelude, body, end, read] = [prelude, &looped.body, &looped.last, &looped.read]
            .map(|of| self.emit.pair([&of.forward, &of.backward], chunk, own));
        let free = self.emit.pair([&looped.free, &[]], chunk, own);
        self.emit.list(0, once(&prelude, chunk))?;
        for index in 0..loops.free {
            self.emit.list(0, Run { index, runs: [index, loops.free], ..once(&free, chunk) })?;
        }
        let (last, uncounted) = (loops.window - 1, loops.window - loops.counted);
        // The losses of all loops are one launch, so each loop's predictions stay.
        let predictions = self.emit.keep_apart(looped.predictions, loops.window);
        let run = |slot: usize| {
            let (pair, runs) = if slot == last { (&end, [0, 1]) } else { (&body, [slot, last]) };
            Run { pair, chunk, slot, index: loops.free + slot, runs }
        };
        let reading =
            |slot: usize| Run { pair: &read, runs: [slot - uncounted, loops.counted - 1], ..run(slot) };
        for slot in 0..loops.window {
            self.emit.list(0, run(slot))?;
            if slot >= uncounted && slot < last {
                self.emit.list(0, reading(slot))?;
            }
        }
        let each = looped.predictions.len as usize;
        let predictions = predictions.part(uncounted * each, loops.counted * each);
        let slopes = [uncounted, last].map(|slot| self.emit.places.at(looped.slopes, slot));
        if let Some(slopes) = Span::around(slopes) {
            let apart = self.emit.places.slot();
            self.loss(targets, predictions, (slopes, apart), [loops.counted, 1])?;
        }
        for place in &looped.shared {
            let span = self.emit.places.at(*place, 0);
            self.emit.push(clear(span));
        }
        for slot in (0..loops.window).rev() {
            if slot >= uncounted && slot < last {
                self.emit.list(1, reading(slot))?;
            }
            self.emit.list(1, run(slot))?;
        }
        self.emit.list(1, once(&prelude, chunk))
    }
}
