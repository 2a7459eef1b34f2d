//! Passes over a fixed set of prompts, each in an order of its own.

use std::sync::{Mutex, PoisonError};

use looped_core::Rng;

/// Which prompt comes when, if each pass takes every prompt once.
///
/// An order follows from a seed and the number of the pass alone, so that a training can go on from any step. The last
/// one is kept, since steps go through a pass in turn.
#[derive(Debug, Default)]
pub(crate) struct Passes(Mutex<Option<Order>>);

#[derive(Debug)]
struct Order {
    seed: u64,
    pass: u64,
    prompts: Vec<usize>,
}

impl Passes {
    /// The number, from 0 to `count` - 1, of the prompt that is the `position`-th of the training, from 0. The order of
    /// pass p is drawn from the stream (`seed`, "shuffle", p).
    pub(crate) fn prompt(&self, seed: u64, position: u64, count: usize) -> usize {
        let (pass, within) = (position / count as u64, (position % count as u64) as usize);
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |order: &Order| (order.seed, order.pass, order.prompts.len()) == (seed, pass, count);
        let order = match last.take().filter(fits) {
            Some(order) => order,
            None => Order { seed, pass, prompts: Rng::stream(seed, "shuffle", pass).permutation(count) },
        };
        let found = order.prompts[within];
        *last = Some(order);
        found
    }
}
