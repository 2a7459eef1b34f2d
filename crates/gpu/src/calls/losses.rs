//! Launches of read-outs with one column, and of losses.

use super::{Calls, Picks};
use crate::source::constant;
use crate::{Element, Operation, Result, Span};

/// A loss of each prediction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// (p - y)^2.
    Squared,
    /// log(1 + exp(-y p)), y being -1 or 1.
    Logistic,
    /// Cross-entropy of a softmax, y being the class's number.
    Classes,
}

impl Loss {
    fn number(self) -> usize {
        let name = match self {
            Self::Squared => "LOSS_SQUARED",
            Self::Logistic => "LOSS_LOGISTIC",
            Self::Classes => "LOSS_CLASSES",
        };
        constant(name) as usize
    }
}

/// What [`Calls::losses`] is given: the predictions after some loops.
#[derive(Clone, Copy, Debug)]
pub struct Losses {
    /// Which loss.
    pub loss: Loss,
    /// How many loops.
    pub loops: usize,
    /// The predictions (loops, rows, width).
    pub predictions: Span,
    /// The targets (rows), the same for all loops.
    pub targets: Span,
    /// Gradient with respect to the predictions, (rows, width) for each loop: from the first loop's to the last's.
    pub slopes: Span,
    /// Floats from where a loop's begin to where the next loop's do.
    pub apart: usize,
    /// One float, what a loss counts.
    pub share: Span,
    /// How often it counts.
    pub times: f32,
    /// Sums of losses (loops, [`Calls::loss_blocks`]).
    pub partials: Span,
}

/// Rows that a block of the read-out's backward pass takes.
const DOT_ROWS: usize = 8;

impl Calls {
    /// `out = x . weight + bias` for each row of x, or for its read ones.
    ///
    /// # Errors
    /// If a place doesn't fit; so in all that follow.
    pub fn dot_rows(
        &self,
        x: Span,
        weight: Span,
        bias: Option<Span>,
        picks: Option<Picks>,
        out: Span,
    ) -> Result<Operation> {
        let (width, rows) = (weight.len(), out.len());
        let call = self.call("dot_rows").reads(x).reads(weight).read_maybe_any(bias);
        let call = call.read_maybe_any(picks.map(|picks| picks.reads)).writes(out);
        let call = call.int(picks.map_or(0, |picks| picks.tokens));
        let call = call.int(picks.map_or(0, |picks| picks.reads.len())).int(width).int(rows);
        call.launch(rows.div_ceil(constant("DOT_WARPS") as usize))
    }

    /// The rows of `partials` that [`Calls::dot_rows_backward`] writes for so many rows.
    #[must_use]
    pub const fn dot_blocks(rows: usize) -> usize {
        rows.div_ceil(DOT_ROWS)
    }

    /// `dx += dy weight`; `partials` ([`Calls::dot_blocks`], width + 1) gets sums of what weight and bias get.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn dot_rows_backward(
        &self,
        [dy, x, weight]: [Span; 3],
        picks: Option<Picks>,
        dx: Span,
        partials: Span,
    ) -> Result<Operation> {
        let (width, rows) = (weight.len(), dy.len());
        let blocks = Self::dot_blocks(rows);
        let call = self.call("dot_rows_backward").reads(dy).other(x, dx.len(), Element::F32, false);
        let call = call.reads(weight).read_maybe_any(picks.map(|picks| picks.reads)).writes(dx);
        let call = call.other(partials, blocks * (width + 1), Element::F32, true);
        let call = call.int(picks.map_or(0, |picks| picks.tokens));
        let call = call.int(picks.map_or(0, |picks| picks.reads.len())).int(width).int(rows);
        call.int(DOT_ROWS).launch(blocks)
    }

    /// The floats of `partials` that [`Calls::losses`] writes for so many predictions after one loop.
    #[must_use]
    pub fn loss_blocks(rows: usize) -> usize {
        rows.div_ceil(constant("LOSS_THREADS") as usize)
    }

    /// The gradient with respect to predictions against targets, and sums of losses.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn losses(&self, of: &Losses) -> Result<Operation> {
        let Losses { loss, loops, predictions, targets, slopes, apart, share, times, partials } = *of;
        let (rows, blocks) = (targets.len(), Self::loss_blocks(targets.len()));
        let width = predictions.len() / (loops * rows).max(1);
        let call = self.call("losses").other(predictions, loops * rows * width, Element::F32, false);
        let call = call.reads(targets).other(share, 1, Element::F32, false);
        let needed = loops.saturating_sub(1) * apart + rows * width;
        let call = call.other(slopes, needed, Element::F32, true);
        let call = call.other(partials, loops * blocks, Element::F32, true);
        let call = call.int(loss.number()).int(width).float(times).int(rows).int(apart);
        call.launch_plane([blocks, loops], 0)
    }

    /// The sum of floats.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn loss_total(&self, partials: Span, loss: Span) -> Result<Operation> {
        let call = self.call("loss_total").reads(partials).other(loss, 1, Element::F32, true);
        call.int(partials.len()).launch(1)
    }
}
