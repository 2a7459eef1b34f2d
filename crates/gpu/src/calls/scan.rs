//! Launches of the scan of a state space.

use super::{Builder, Calls};
use crate::source::constant;
use crate::{Element, Error, Operation, Result, Span};

/// The numbers of a diagonal state space: decay, gain and read (states, width), skip (width).
#[derive(Clone, Copy, Debug)]
pub struct StateSpace {
    /// What is left of a state after a token.
    pub decay: Span,
    /// How much of the input a state takes in.
    pub gain: Span,
    /// How much of a state the output has.
    pub read: Span,
    /// How much of the input the output has beside the states.
    pub skip: Span,
}

/// The states that a scan starts from and ends with, (sequences, states, width) each; forward or as gradients.
#[derive(Clone, Copy, Debug, Default)]
pub struct States {
    /// Before the first token; 0 if not there. A gradient with respect to them is added to.
    pub before: Option<Span>,
    /// After the last token.
    pub last: Option<Span>,
}

/// What a scan goes over.
struct Scanned {
    sequences: usize,
    tokens: usize,
    width: usize,
    states: usize,
}

impl Builder {
    fn state_space(self, space: &StateSpace, of: &Scanned) -> Self {
        let all = of.states * of.width;
        let call =
            self.other(space.decay, all, Element::F32, false).other(space.gain, all, Element::F32, false);
        call.other(space.read, all, Element::F32, false).other(space.skip, of.width, Element::F32, false)
    }

    fn scanned(self, of: &Scanned) -> Result<Operation> {
        let blocks = (of.sequences * of.width).div_ceil(constant("SCAN_THREADS") as usize);
        self.int(of.sequences).int(of.tokens).int(of.width).int(of.states).launch(blocks)
    }
}

impl Calls {
    /// The scan of a state space over x (sequences, tokens, width).
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn scan(
        &self,
        space: &StateSpace,
        states: States,
        x: Span,
        y: Span,
        tokens: usize,
    ) -> Result<Operation> {
        let of = self.scanned(space, x, tokens)?;
        let one = self.source.storage.element().bytes();
        let call = self.call("scan").read_stored(x, x.len(), one).read_maybe_any(states.before);
        let call = call.state_space(space, &of).write_stored(Some(y), x.len(), one);
        call.write_maybe_any(states.last).scanned(&of)
    }

    /// The gradient with respect to x, from dy and that with respect to the last states; `before` is as in [`Calls::scan`].
    ///
    /// `kept` is room for 8 floats for each of x, and `partials` (sequences, 3 states + 1,
    /// width) gets what each sequence adds to the gradients of decay, gain, read and skip.
    ///
    /// # Errors
    /// If a place doesn't fit.
    #[allow(clippy::too_many_arguments, reason = "a kernel's operands")]
    pub fn scan_backward(
        &self,
        space: &StateSpace,
        before: Option<Span>,
        slopes: States,
        [x, dy]: [Span; 2],
        dx: Span,
        kept: Span,
        partials: Span,
        tokens: usize,
    ) -> Result<Operation> {
        let of = self.scanned(space, x, tokens)?;
        let (one, count) = (self.source.storage.element().bytes(), x.len());
        let call = self.call("scan_backward").read_stored(x, count, one).read_maybe_any(before);
        let call = call.read_stored(dy, count, one).read_maybe_any(slopes.last).state_space(space, &of);
        let call = call.write_stored(Some(dx), count, one).write_maybe_any(slopes.before);
        let call = call.other(kept, count * constant("SCAN_STATES") as usize, Element::F32, true);
        let sums = of.sequences * (3 * of.states + 1) * of.width;
        call.other(partials, sums, Element::F32, true).scanned(&of)
    }

    fn scanned(&self, space: &StateSpace, x: Span, tokens: usize) -> Result<Scanned> {
        let width = space.skip.len();
        if width == 0 || tokens == 0 || !x.len().is_multiple_of(tokens * width) || space.decay.len() < width {
            let problem =
                format!("{} values aren't sequences of {tokens} tokens of {width} channels", x.len());
            return Err(Error::Operation { operation: "scan".to_owned(), problem });
        }
        let (sequences, states) = (x.len() / (tokens * width), space.decay.len() / width);
        Ok(Scanned { sequences, tokens, width, states })
    }
}
