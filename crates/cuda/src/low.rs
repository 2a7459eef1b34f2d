//! Operands of products in bf16.
//!
//! Values are floats. What a product takes is rounded to bf16 first, once for all products that read it. What a weight's gradient needs
//! stays until the end of the step, for all loops together: then one product makes the gradient of them all.

use std::collections::HashMap;

use looped_gpu::{Element, Layout, Span};
use looped_graph::Param;
use looped_graph::lower::{Kernel, Place, Start, Step};

/// A weight's gradient, still to be computed: dy^T x over all loops.
pub(crate) struct Late {
    /// The gradient with respect to the layer's result, and its input, of all runs.
    pub(crate) operands: [Span; 2],
    /// The weight.
    pub(crate) weight: Param,
}

/// What was rounded, and where it is.
#[derive(Default)]
pub(crate) struct Low {
    /// By the float's place, as long as nothing else was written there.
    known: Vec<(Span, Span)>,
    pool: HashMap<(usize, usize), Span>,
    used: usize,
    late: HashMap<(usize, usize), usize>,
    pub(crate) all_late: Vec<Late>,
}

impl Low {
    /// Begins a list of steps.
    pub(crate) fn begin(&mut self) {
        self.known.clear();
        self.used = 0;
    }

    /// What was rounded before, of the numbers at a place.
    pub(crate) fn known(&self, of: Span) -> Option<Span> {
        self.known.iter().find(|(from, _)| *from == of).map(|(_, to)| *to)
    }

    /// Notes where the numbers of a place were rounded to.
    pub(crate) fn note(&mut self, of: Span, to: Span) {
        self.known.push((of, to));
    }

    /// Forgets what is known of a place, since it is written.
    pub(crate) fn forget(&mut self, written: Span) {
        self.known.retain(|(from, _)| !from.overlaps(written));
    }

    /// Room that only this list of steps needs.
    pub(crate) fn passing(&mut self, layout: &mut Layout, len: usize) -> Span {
        self.used += 1;
        *self.pool.entry((self.used, len)).or_insert_with(|| layout.place(Element::Bf16, len))
    }

    /// Room for one operand of a weight's gradient, in the `run`-th of `times` runs of its step.
    pub(crate) fn late(
        &mut self,
        layout: &mut Layout,
        key: (usize, usize),
        weight: Param,
        [run, times]: [usize; 2],
        lens: [usize; 2],
        operand: usize,
    ) -> Span {
        let index = *self.late.entry(key).or_insert_with(|| {
            let operands = lens.map(|len| layout.place(Element::Bf16, times * len));
            self.all_late.push(Late { operands, weight });
            self.all_late.len() - 1
        });
        self.all_late[index].operands[operand].slot(run, lens[operand])
    }
}

/// The weight's gradient that will read the numbers at a place as they are before step `from`: its step, and which operand they are.
pub(crate) fn home(steps: &[Step], from: usize, place: Place) -> Option<(usize, usize)> {
    for (i, step) in steps.iter().enumerate().skip(from) {
        if let Kernel::WeightGradient { exact: false, .. } = step.kernel
            && let Some(operand) = step.places.iter().position(|own| *own == place)
        {
            return Some((i, operand));
        }
        if written(step).any(|own| touch(own, place)) {
            return None;
        }
    }
    None
}

fn touch(a: Place, b: Place) -> bool {
    a.space == b.space && a.start < b.start + b.len && b.start < a.start + a.len
}

/// The places that a step may write.
pub(crate) fn written(step: &Step) -> impl Iterator<Item = Place> + '_ {
    let first = match step.kernel {
        Kernel::Product { start: Start::Residual(_), .. } | Kernel::DotBack { .. } => 2,
        Kernel::Product { .. }
        | Kernel::ProductGelu { .. }
        | Kernel::ProductGeluOnly { .. }
        | Kernel::ProductGeluBack { .. }
        | Kernel::Dot { .. }
        | Kernel::Norm(_)
        | Kernel::Gather
        | Kernel::Scatter { .. }
        | Kernel::TakeColumns { .. }
        | Kernel::PutColumns { .. }
        | Kernel::Positions(_)
        | Kernel::Rotary { .. }
        | Kernel::Add
        | Kernel::Copy
        | Kernel::Keep { .. } => 1,
        Kernel::NormBack { .. } => 4,
        Kernel::WeightGradient { .. } | Kernel::PositionsBack(_) => usize::MAX,
        _ => 0,
    };
    step.places.iter().skip(first).copied()
}
