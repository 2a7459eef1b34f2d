//! Launches of what happens between two loops, and of the loss.

use super::{Argument, Calls, EPS};
use crate::source::constant;
use crate::{Element, Error, Operation, Result, Span};

/// The final norm with the read-out behind it: parameters of [`Calls::enter`] and [`Calls::leave`].
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    /// The final norm's weight (width).
    pub weight: Span,
    /// Its bias (width).
    pub bias: Span,
    /// The read-out's weight (width).
    pub read_weight: Span,
    /// Its bias (1).
    pub read_bias: Span,
}

/// Arguments of [`Calls::enter`].
#[derive(Clone, Copy, Debug)]
pub struct Enter {
    /// Rows of a sequence.
    pub tokens: usize,
    /// The first of them that keeps its state from loop to loop; those before enter each with 0.
    pub kept_from: usize,
    /// The blocks' output (rows, width); none before the first loop.
    pub y: Option<Span>,
    /// What it goes through.
    pub ending: Ending,
    /// Where the predictions go (sequences, points), if they are read.
    pub predictions: Option<Span>,
    /// The next loop, if there is one.
    pub next: Option<Next>,
}

/// The loop that [`Calls::enter`] begins.
#[derive(Clone, Copy, Debug)]
pub struct Next {
    /// The embedded prompts with their positions (rows, width).
    pub input: Span,
    /// The blocks' input (rows, width).
    pub x: Span,
    /// The first norm's weight (width).
    pub weight: Span,
    /// Its bias (width).
    pub bias: Span,
    /// Its output (rows, width), as stored.
    pub normed: Span,
}

/// Arguments of [`Calls::leave`].
#[derive(Clone, Copy, Debug)]
pub struct Leave {
    /// Rows in all.
    pub rows: usize,
    /// Rows of a sequence.
    pub tokens: usize,
    /// The first of them that keeps its state from loop to loop.
    pub kept_from: usize,
    /// The loop that follows, if one does.
    pub after: Option<After>,
    /// The loop before, if gradient reaches it.
    pub before: Option<Before>,
    /// Sums over each block's rows (blocks, 5 width).
    pub partials: Span,
}

/// The loop whose input's derivative [`Calls::leave`] computes.
#[derive(Clone, Copy, Debug)]
pub struct After {
    /// Gradient with respect to the first norm's output (rows, width).
    pub dn: Span,
    /// The blocks' input (rows, width).
    pub x: Span,
    /// The first norm's weight (width).
    pub weight: Span,
    /// Gradient with respect to the blocks' input past the norm (rows, width).
    pub residual: Span,
    /// Gradient with respect to the embedded prompts (rows, width): added to.
    pub dinput: Span,
    /// Whether `dinput` is written instead.
    pub fresh: bool,
}

/// The loop whose output's derivative [`Calls::leave`] computes.
#[derive(Clone, Copy, Debug)]
pub struct Before {
    /// The blocks' output (rows, width).
    pub y: Span,
    /// What it goes through.
    pub ending: Ending,
    /// Predictions and targets, each (sequences, points), and 2 over the number of all predictions.
    pub errors: Option<(Span, Span, f32)>,
    /// Gradient with respect to the blocks' output (rows, width).
    pub dy: Span,
    /// The same as stored, where that differs.
    pub low: Option<Span>,
}

impl Calls {
    /// Between two loops: final norm, predictions, injection, first norm.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn enter(&self, rows: usize, arguments: &Enter) -> Result<Operation> {
        let Enter { tokens, kept_from, y, ending, predictions, next } = *arguments;
        let (width, points) = (self.source.width, tokens.div_ceil(2));
        let all = rows * width;
        let call = self.call("enter").read_maybe(y, all).read(ending.weight, width).read(ending.bias, width);
        let call = call.read(ending.read_weight, width).other(ending.read_bias, 1, Element::F32, false);
        let predictions = predictions.or(if y.is_some() { None } else { predictions });
        let mut call = call;
        let span = call.check(predictions, rows / tokens.max(1) * points, Element::F32, 4);
        call.arguments.push(Argument::Write(span));
        let call = call.read_maybe(next.map(|n| n.input), all).write_maybe(next.map(|n| n.x), all);
        let call = call.read_maybe(next.map(|n| n.weight), width).read_maybe(next.map(|n| n.bias), width);
        let call = call.write_stored(next.map(|n| n.normed), all, self.run());
        if tokens == 0 || !rows.is_multiple_of(tokens) {
            return Err(Error::Operation {
                operation: "enter".to_owned(),
                problem: format!("{rows} rows aren't sequences of {tokens} tokens"),
            });
        }
        let call = call.int(rows).int(tokens).float(EPS).int(kept_from);
        call.launch(rows.div_ceil(constant("LOOP_WARPS") as usize))
    }

    /// Between two loops, backward.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn leave(&self, arguments: &Leave) -> Result<Operation> {
        let Leave { rows, tokens, kept_from, after, before, partials } = *arguments;
        let (width, points) = (self.source.width, tokens.div_ceil(2));
        let all = rows * width;
        let blocks = partials.len() / (5 * width);
        let call =
            self.call("leave").read_maybe(after.map(|a| a.dn), all).read_maybe(after.map(|a| a.x), all);
        let call = call.read_maybe(after.map(|a| a.weight), width).read_maybe(after.map(|a| a.residual), all);
        let call = call.write_maybe(after.map(|a| a.dinput), all);
        let call = call.int(usize::from(after.is_some_and(|a| a.fresh))).read_maybe(before.map(|b| b.y), all);
        let ending = before.map(|b| b.ending);
        let call = call.read_maybe(ending.map(|e| e.weight), width).read_maybe(ending.map(|e| e.bias), width);
        let mut call = call.read_maybe(ending.map(|e| e.read_weight), width);
        let errors = before.and_then(|b| b.errors);
        for values in [errors.map(|e| e.0), errors.map(|e| e.1)] {
            let span = call.check(values, rows / tokens.max(1) * points, Element::F32, 4);
            call.arguments.push(Argument::Read(span));
        }
        let call = call.float(errors.map_or(0.0, |e| e.2)).write_maybe(before.map(|b| b.dy), all);
        let call = call.write_stored(before.and_then(|b| b.low), all, self.run());
        let call = call.write(partials, blocks * 5 * width);
        if tokens == 0 || !rows.is_multiple_of(tokens) {
            return Err(Error::Operation {
                operation: "leave".to_owned(),
                problem: format!("{rows} rows aren't sequences of {tokens} tokens"),
            });
        }
        call.int(rows).int(tokens).float(EPS).int(kept_from).launch(blocks)
    }

    /// The mean squared error of all predictions (loops, count), and the sum of its slopes: the gradient of the
    /// read-out's bias.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn squared_loss(
        &self,
        predictions: Span,
        targets: Span,
        loss: Span,
        slopes: Span,
    ) -> Result<Operation> {
        let count = targets.len();
        let loops = predictions.len() / count.max(1);
        let call = self.call("squared_loss").other(predictions, loops * count, Element::F32, false);
        let call = call.other(targets, count, Element::F32, false).other(loss, 1, Element::F32, true);
        let call = call.other(slopes, 1, Element::F32, true);
        call.int(loops).int(count).launch(1)
    }

    /// Adds the positions, as long as a sequence, to every sequence of `x`.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn place(&self, x: Span, positions: Span) -> Result<Operation> {
        let each = positions.len();
        let sequences = x.len() / each.max(1);
        let call = self.call("place").other(x, sequences * each, Element::F32, true);
        let call = call.other(positions, each, Element::F32, false).int(sequences).int(each);
        call.launch_plane([each.div_ceil(256), sequences.min(64)], 0)
    }

    /// The sum of `dx` over the sequences.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn place_backward(&self, dx: Span, dpositions: Span) -> Result<Operation> {
        let each = dpositions.len();
        let sequences = dx.len() / each.max(1);
        let call = self.call("place_backward").other(dx, sequences * each, Element::F32, false);
        let call = call.other(dpositions, each, Element::F32, true).int(sequences).int(each);
        call.launch(each.div_ceil(256))
    }
}
