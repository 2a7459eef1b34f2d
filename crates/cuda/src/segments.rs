//! A training step in parts, each of which runs when it is asked for: for ways through the loops that are more than a window.
//!
//! What is written for a loop knows its slot, but not which loop it is: what each loop has of its own is brought to one place before
//! ([`Part::Fetch`]), and the gradient with respect to it is taken from there ([`Part::Give`]).

use std::collections::HashMap;
use std::ops::Range;

use looped_gpu::{Layout, Math, Operation, Result, Span};
use looped_graph::lower::{Chunk, Early, Looped, Pair as Lists, Place, Step};

use crate::emit::{Constant, Emit, Pair, Run, clear};
use crate::places::{Front, Places};
use crate::stage::Of;
use crate::stored::Stored;

/// A part of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    /// What a step begins with: rows are computed of the parameters, those are rounded, where products want that, and gradients set to 0.
    Begin,
    /// What it ends with: the gradients with respect to such rows are carried on to the parameters.
    End,
    /// The early tokens.
    Early(Way),
    /// What comes before the loops; whether the gradient goes on into the first state.
    Prelude(bool, Way),
    /// A loop of which nothing is kept, on the state in a slot.
    Free(usize),
    /// A loop that is kept in a slot.
    Loop(usize, Way),
    /// A last loop, after which there is a prediction and no state.
    Last(usize, Way),
    /// The predictions after a slot's loop.
    Read(usize, Way),
    /// Backward through a slot's loop, for the gradient with respect to the state alone.
    State(usize),
    /// Brings what a loop, from 0, has of its own.
    Fetch(usize),
    /// Adds up the gradients with respect to that.
    Give(usize),
}

/// Forward or backward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    Forward,
    Backward,
}

/// What a way through the loops asks of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// The most slots at once.
    pub(crate) slots: usize,
    /// Loops, of which each may have parameters of its own.
    pub(crate) loops: usize,
}

/// Operations of all parts, with the places that a caller reads and writes.
pub(crate) struct Segments {
    pub(crate) operations: Vec<Operation>,
    pub(crate) bytes: usize,
    pub(crate) places: Places,
    pub(crate) constants: Vec<Constant>,
    ranges: HashMap<Part, Range<usize>>,
}

impl Segments {
    /// The parts of a step.
    pub(crate) fn of(of: Of<'_>, Room { slots, loops }: Room) -> Result<Self> {
        let Of { graph, flat, math, program, cells, tokens } = of;
        let mut layout = Layout::default();
        let front = Front::new(&mut layout, flat.len);
        let each_loop = flat.len_for(loops) - flat.len;
        // One more than are kept: in the last the state after the loops comes first.
        let room = [slots + 1, program.sizes.slot];
        let places = Places::new(&mut layout, front, each_loop, math == Math::Bf16, program.sizes, room);
        let mut emit = Emit::new(graph, flat, math, layout, places, of.kernels(), cells, tokens);
        emit.bring_by_loop(graph, flat);
        let mut parts = Parts { emit, ranges: HashMap::new() };
        parts.part(Part::Begin, |emit| {
            emit.once_forward()?;
            emit.round_parameters()?;
            let all = [front.grads, emit.places.each_loop.grads];
            all.into_iter().filter(|grads| grads.len() > 0).for_each(|grads| emit.push(clear(grads)));
            Ok(())
        })?;
        if let Some(early) = &program.early {
            parts.both(Part::Early, &early.steps, &early.chunk, 0, &early.left)?;
        }
        if let Some(looped) = &program.looped {
            parts.looped(looped, slots, &sums(looped, program.early.as_ref()))?;
        }
        for index in 0..loops {
            parts.part(Part::Fetch(index), |emit| emit.fetch_by_loop(index))?;
            parts.part(Part::Give(index), |emit| emit.give_by_loop(index))?;
        }
        parts.part(Part::End, Emit::once_backward)?;
        let Parts { emit: Emit { operations, layout, constants, places, .. }, ranges } = parts;
        Ok(Self { operations, bytes: layout.bytes(), places, constants, ranges })
    }

    /// Which operations a part is; nothing if there is nothing to do.
    pub(crate) fn range(&self, part: Part) -> Option<Range<usize>> {
        self.ranges.get(&part).filter(|range| !range.is_empty()).cloned()
    }
}

/// What gradients of all loops add up in.
fn sums(looped: &Looped, early: Option<&Early>) -> Vec<Place> {
    looped.shared.iter().chain(early.iter().flat_map(|early| &early.left)).copied().collect()
}

fn pair<'c>(lists: [&'c [Step]; 2]) -> Pair<'c> {
    Pair { lists, stored: Stored::nowhere_else() }
}

fn run<'c>(pair: &'c Pair<'c>, chunk: &'c Chunk, slot: usize) -> Run<'c> {
    Run { pair, chunk, slot, index: 0, runs: [0, 1] }
}

/// Parts while they are put together.
struct Parts<'a> {
    emit: Emit<'a>,
    ranges: HashMap<Part, Range<usize>>,
}

impl<'a> Parts<'a> {
    fn part(&mut self, part: Part, write: impl FnOnce(&mut Emit<'a>) -> Result<()>) -> Result<()> {
        let first = self.emit.operations.len();
        write(&mut self.emit)?;
        self.emit.end_part()?;
        self.ranges.insert(part, first..self.emit.operations.len());
        Ok(())
    }

    /// A part forward, after which some sums are set to 0, and backward.
    fn both(
        &mut self,
        part: impl Fn(Way) -> Part,
        lists: &Lists,
        chunk: &Chunk,
        slot: usize,
        sums: &[Place],
    ) -> Result<()> {
        let pair = pair([&lists.forward, &lists.backward]);
        self.part(part(Way::Forward), |emit| {
            emit.list(0, run(&pair, chunk, slot))?;
            let sums = sums.iter().map(|place| emit.places.at(*place, slot)).filter(|span| span.len() > 0);
            let clears: Vec<Operation> = sums.map(clear).collect();
            clears.into_iter().for_each(|operation| emit.push(operation));
            Ok(())
        })?;
        self.part(part(Way::Backward), |emit| emit.list(1, run(&pair, chunk, slot)))
    }

    fn looped(&mut self, looped: &Looped, slots: usize, sums: &[Place]) -> Result<()> {
        let chunk = &looped.chunk;
        let begun: Vec<Place> = looped.shared.iter().chain([&looped.dstate]).copied().collect();
        for (from_state, lists) in [(false, &looped.prelude), (true, &looped.prelude_from_state)] {
            self.both(|way| Part::Prelude(from_state, way), lists, chunk, 0, &begun)?;
        }
        for slot in 0..=slots {
            let free = pair([&looped.free, &[]]);
            self.part(Part::Free(slot), |emit| emit.list(0, run(&free, chunk, slot)))?;
        }
        // What going backward for the state alone leaves as it was: gradients, and what was kept, which some steps write over.
        let kept = |emit: &Emit<'_>, slot: usize| -> Vec<Span> {
            let sums = sums.iter().map(|place| emit.places.at(*place, 0));
            [emit.places.front.grads].into_iter().chain(sums).chain([emit.places.whole_slot(slot)]).collect()
        };
        let rooms: Vec<Span> =
            kept(&self.emit, 0).iter().map(|span| self.emit.layout.floats(span.len())).collect();
        for slot in 0..slots {
            self.both(|way| Part::Loop(slot, way), &looped.body, chunk, slot, &[])?;
            self.both(|way| Part::Last(slot, way), &looped.last, chunk, slot, &[])?;
            self.both(|way| Part::Read(slot, way), &looped.read, chunk, slot, &[])?;
            let body = pair([&looped.body.forward, &looped.body.backward]);
            let kept = kept(&self.emit, slot);
            self.part(Part::State(slot), |emit| {
                kept.iter().zip(&rooms).try_for_each(|(own, room)| emit.copy(*own, *room))?;
                emit.for_state_alone(|emit| emit.list(1, run(&body, chunk, slot)))?;
                // Sums over rows come at the end of a part.
                emit.end_part()?;
                kept.iter().zip(&rooms).try_for_each(|(own, room)| emit.copy(*room, *own))
            })?;
        }
        Ok(())
    }
}
