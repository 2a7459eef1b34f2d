//! Launches of Adam.

use super::Calls;
use crate::{Element, Operation, Result, Span};

/// Adam's settings on the device: learning rate, largest norm, both betas, eps, weight decay.
pub const SETTINGS: usize = 6;
/// What one update decides: norm, clip, step size, scale of the second moment, finite (integer), updates (integer).
pub const DECISION: usize = 6;

/// Places of [`Calls::adam`], each as long as the parameters.
#[derive(Clone, Copy, Debug)]
pub struct Adam {
    /// The parameters.
    pub parameters: Span,
    /// Their gradients.
    pub gradients: Span,
    /// Running means of the gradients.
    pub first: Span,
    /// And of their squares.
    pub second: Span,
    /// The parameters as stored, where that differs.
    pub low: Option<Span>,
}

impl Calls {
    /// The gradients' norm, whether it is finite, and how far this update moves: `partials` has a float for each of its
    /// blocks; `settings` and `decision` hold what [`SETTINGS`] and [`DECISION`] say.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn decide(
        &self,
        gradients: Span,
        partials: Span,
        settings: Span,
        decision: Span,
    ) -> Result<[Operation; 2]> {
        let blocks = partials.len();
        let call = self.call("square_sums").other(gradients, gradients.len(), Element::F32, false);
        let sums = call.other(partials, blocks, Element::F32, true).int(gradients.len()).launch(blocks)?;
        let call = self.call("decide").other(partials, blocks, Element::F32, false);
        let call = call.other(settings, SETTINGS, Element::F64, false);
        Ok([sums, call.other(decision, DECISION, Element::F32, true).int(blocks).launch(1)?])
    }

    /// Moves the parameters as decided.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn adam(&self, places: &Adam, settings: Span, decision: Span) -> Result<Operation> {
        let count = places.parameters.len();
        let call = self.call("adam").other(places.parameters, count, Element::F32, true);
        let call = call.other(places.gradients, count, Element::F32, false);
        let call = call.other(places.first, count, Element::F32, true);
        let call = call.other(places.second, count, Element::F32, true);
        let call = call.write_stored(places.low, count, self.source.storage.element().bytes());
        let call = call.other(settings, SETTINGS, Element::F64, false);
        let call = call.other(decision, DECISION, Element::F32, false).int(count);
        call.launch(count.div_ceil(256))
    }
}
