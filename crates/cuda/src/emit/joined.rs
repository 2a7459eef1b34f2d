//! Steps that one launch does together with those before or after them.
//!
//! Each of them goes through rows one by one, so that the next can be done to a row while it is at hand. A step that another's launch does
//! is left out ([`Here::is_done_by_another`]).
//!
//! - A sum and the norm of it. The sum is written too.
//! - A norm, a sum that it is part of, and the norm of that sum: the end of a loop, the injection, and the first norm of the next loop. These
//!   are steps of two lists, and others may come between them: [`Emit::norm_before`] says when that is no hindrance.
//! - The gradient with respect to a norm's input, and the gradient that it is added to next. If the list then ends with a copy of it, it is
//!   written there in the first place: scratch memory is read by nobody after a list.
//! - A gradient that is added to one place and copied to another.

use looped_gpu::{Operation, Result, Span};
use looped_graph::lower::{At, Kernel, Place, Space, Step, Strided};
use looped_graph::ops::Func;
use looped_graph::{Norm, PointProgram};

use super::{Emit, Here, storage};

/// A norm that was asked for, to which more may be joined.
#[derive(Clone, Copy)]
pub(super) struct LastNorm {
    /// Its place among the operations.
    at: usize,
    x: Span,
    /// Weight and bias.
    lines: [Option<Span>; 2],
    out: Span,
}

/// Where the gradient with respect to a norm's input goes besides.
#[derive(Default)]
pub(super) struct HandedOn {
    /// What it is added to.
    pub(super) total: Option<Place>,
    /// Where it is wanted in the end.
    pub(super) end: Option<Place>,
}

impl Here<'_> {
    /// The step so many later.
    fn later(&self, by: usize) -> Option<Self> {
        (self.step + by < self.steps.len()).then_some(Self { step: self.step + by, ..*self })
    }

    /// The step so many before.
    fn earlier(&self, by: usize) -> Option<Self> {
        Some(Self { step: self.step.checked_sub(by)?, ..*self })
    }

    /// Whether the launch of another step does this one too.
    pub(super) fn is_done_by_another(&self) -> bool {
        match self.of().kernel {
            Kernel::Point(_) => self.later(1).is_some_and(|norm| norm.normed_sum().is_some()),
            Kernel::Add => self.earlier(1).is_some_and(|norm| norm.handed_on().total.is_some()),
            Kernel::Copy => {
                let by_norm = self.earlier(2).is_some_and(|norm| norm.handed_on().end.is_some());
                let by_sum = self
                    .earlier(1)
                    .is_some_and(|add| add.copied_too().is_some() && !add.is_done_by_another());
                by_norm || by_sum
            }
            _ => false,
        }
    }

    /// The values that the step before adds, and their sum, if this is a norm of that.
    ///
    /// The values may not be needed after their sum, and then the norm may lie where one of them did. Row by row that has to be the same row.
    fn normed_sum(&self) -> Option<[Place; 3]> {
        let Kernel::Norm(_) = self.of().kernel else { return None };
        let [x, out, ..] = self.of().places[..] else { return None };
        let row_by_row = |value: &Place| *value == out || !value.overlaps(out);
        sum_of(self.earlier(1)?.of()).filter(|[a, b, sum]| *sum == x && [a, b].into_iter().all(row_by_row))
    }

    /// Where the steps after this norm's backward step take its result.
    pub(super) fn handed_on(&self) -> HandedOn {
        let Kernel::NormBack { .. } = self.of().kernel else { return HandedOn::default() };
        let own = &self.of().places;
        let taken = |by: usize| {
            let step = self.later(by).filter(|later| later.of().places.first() == Some(&own[4]))?;
            let to = *step.of().places.get(1)?;
            own.iter().all(|place| !place.overlaps(to)).then_some((step, to))
        };
        let Some((_, total)) = taken(1).filter(|(step, _)| matches!(step.of().kernel, Kernel::Add)) else {
            return HandedOn::default();
        };
        let ends = |(step, to): &(Self, Place)| {
            matches!(step.of().kernel, Kernel::Copy) && step.later(1).is_none() && !to.overlaps(total)
        };
        let end = taken(2).filter(ends).map(|(_, to)| to).filter(|_| own[4].space == Space::Scratch);
        HandedOn { total: Some(total), end }
    }

    /// Where the next step copies what this one adds.
    pub(super) fn copied_too(&self) -> Option<Place> {
        let Kernel::Add = self.of().kernel else { return None };
        let next = self.later(1)?;
        let same = matches!(next.of().kernel, Kernel::Copy) && next.of().places[0] == self.of().places[0];
        same.then(|| next.of().places[1])
    }
}

/// What a step adds, both whole, and the place of their sum.
fn sum_of(step: &Step) -> Option<[Place; 3]> {
    let Kernel::Point(of) = &step.kernel else { return None };
    let ([a, b], [(sum, false)]) = (&of.inputs[..], &of.results[..]) else { return None };
    let whole = |strided: &Strided| match strided.at {
        At::Place(place) if strided.column == 0 && strided.stride == of.width => Some(step.places[place]),
        _ => None,
    };
    let places = [whole(a)?, whole(b)?, whole(sum)?];
    (*of.program == PointProgram::of(Func::Add)).then_some(places)
}

impl Emit<'_> {
    pub(super) fn norm(&mut self, here: Here<'_>, norm: Norm) -> Result<()> {
        let out = self.put(here, 1);
        let weight = self.param(norm.weight);
        let lines = [Some(weight), norm.bias.map(|bias| self.param(bias))];
        let calls = self.calls_for(weight.len(), storage(out));
        let at = |emit: &Self, place: Place| emit.places.at(place, here.run.slot);
        let Some(places) = here.normed_sum() else {
            let x = at(self, here.of().places[0]);
            self.push(calls.add_norm(x, None, lines, None, out)?);
            self.last_norm = Some(LastNorm { at: self.operations.len() - 1, x, lines, out });
            return Ok(());
        };
        let [a, b, sum] = places.map(|place| at(self, place));
        let operation = calls.add_norm(a, Some(b), lines, Some(sum), out)?;
        let before = [[a, b], [b, a]].into_iter().find_map(|[z, residual]| {
            Some((self.norm_before(z, residual, weight.len(), &operation)?, residual))
        });
        match before {
            Some((LastNorm { at, x, lines: first, out: z }, residual)) => {
                self.operations[at] = calls.norm_add_norm(x, first, z, residual, lines, sum, out)?;
                self.last_norm = None;
            }
            None => self.push(operation),
        }
        Ok(())
    }

    /// The last norm, if it gave `z` and `operation` may be done with it: that adds `residual` to `z` and takes the norm of the sum, in rows of
    /// `width`.
    ///
    /// It is then done earlier than it was asked for, so it has to commute with what lies between. The two norms take turns, row by row: so
    /// the second may write where the first reads only if that is the same row, and nowhere else that the first touches.
    fn norm_before(&self, z: Span, residual: Span, width: usize, operation: &Operation) -> Option<LastNorm> {
        let last =
            self.last_norm.filter(|last| last.out == z && last.lines[0].map(Span::len) == Some(width))?;
        let [_, writes] = operation.touches();
        let row_by_row =
            writes.iter().all(|to| !to.overlaps(last.out) && (*to == last.x || !to.overlaps(last.x)));
        let between = &self.operations[last.at + 1..];
        let free = between.iter().all(|other| other.commutes_with(operation));
        (row_by_row && free && !residual.overlaps(last.out)).then_some(last)
    }
}
