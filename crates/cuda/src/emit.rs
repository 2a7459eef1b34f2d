//! From a lowered program's steps to the GPU's operations.

mod joined;
mod parts;
mod products;
mod recur;
mod rows;
mod step;

use std::collections::HashMap;

use looped_cpu::engines::Layout as Flat;
use looped_gpu::calls::{Calls, Cores, Own, Picks, Seen, Table};
use looped_gpu::{Arena, Element, Error, Layout, Math, Operation, Result, Source, Span, Storage};
use looped_graph::lower::{Chunk, Kernel, Place, Shared, Space, Step};
use looped_graph::ops::Rotary;
use looped_graph::{Form, Graph, Op, Param};

use crate::cells::Cells;
use crate::low::{Low, written};
use crate::places::{Places, Row};
use crate::stored::{Rule, Spot, Stored};
use crate::sums::{Key, Sums};
use joined::LastNorm;
pub(crate) use parts::is_by_loop;

/// The width of heads where a model has none.
const NO_HEADS: usize = 16;

/// A list of steps and the one that goes back over it, with where their values are stored.
pub(crate) struct Pair<'c> {
    pub(crate) lists: [&'c [Step]; 2],
    pub(crate) stored: Stored,
}

/// Where and when a list of steps runs.
#[derive(Clone, Copy)]
pub(crate) struct Run<'c> {
    /// The pair that it is of.
    pub(crate) pair: &'c Pair<'c>,
    /// Its tokens.
    pub(crate) chunk: &'c Chunk,
    /// The slot of its loop.
    pub(crate) slot: usize,
    /// The loop, from 0.
    pub(crate) index: usize,
    /// Which of its runs this is, and how many there are.
    pub(crate) runs: [usize; 2],
}

/// Numbers that are the same for all batches, still to be written.
pub(crate) enum Constant {
    /// Floats.
    Floats(Span, Vec<f32>),
    /// Integers.
    Ints(Span, Vec<i32>),
    /// Integers that a launch goes by.
    Table(Table),
}

impl Constant {
    pub(crate) fn write(&self, arena: &Arena) -> Result<()> {
        match self {
            Self::Floats(span, values) => arena.write_floats(*span, values),
            Self::Ints(span, values) => arena.write_ints(*span, values),
            Self::Table(Table { at, numbers }) => arena.write_longs(*at, numbers),
        }
    }
}

/// Operations while they are put together.
pub(crate) struct Emit<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) flat: &'a Flat,
    pub(crate) math: Math,
    pub(crate) layout: Layout,
    pub(crate) places: Places,
    pub(crate) operations: Vec<Operation>,
    pub(crate) constants: Vec<Constant>,
    pub(crate) own: Option<Own>,
    cells: &'a Cells,
    heads: HashMap<usize, usize>,
    picks: Vec<(Chunk, Picks)>,
    turns: HashMap<usize, Span>,
    positions: usize,
    rooms: HashMap<(&'static str, usize), Span>,
    low: Low,
    sums: Sums,
    last_norm: Option<LastNorm>,
    /// Where what a loop has of its own is brought, if it is.
    brought: Vec<(Shared, Row)>,
    /// Whether only the state's gradient is asked for.
    state_alone: bool,
}

/// A step of a list as it is translated.
#[derive(Clone, Copy)]
pub(crate) struct Here<'c> {
    pub(crate) run: Run<'c>,
    /// Whether it goes back.
    half: usize,
    steps: &'c [Step],
    /// The step.
    pub(crate) step: usize,
}

impl Here<'_> {
    pub(crate) fn of(&self) -> &Step {
        &self.steps[self.step]
    }

    /// Which list.
    pub(crate) fn list(&self) -> usize {
        self.steps.as_ptr() as usize
    }

    fn key(&self, which: usize) -> Key {
        (self.list(), self.step, which, None)
    }
}

impl<'a> Emit<'a> {
    #[allow(clippy::too_many_arguments, reason = "what a model and its prompts bring")]
    /// `positions`: how many tokens a prompt has at most.
    pub(crate) fn new(
        graph: &'a Graph,
        flat: &'a Flat,
        math: Math,
        layout: Layout,
        places: Places,
        own: Option<Own>,
        cells: &'a Cells,
        positions: usize,
    ) -> Self {
        Self {
            graph,
            flat,
            math,
            layout,
            places,
            operations: Vec::new(),
            constants: Vec::new(),
            own,
            cells,
            heads: heads(graph),
            picks: Vec::new(),
            turns: HashMap::new(),
            positions,
            rooms: HashMap::new(),
            low: Low::new(math.operands()),
            sums: Sums::default(),
            last_norm: None,
            brought: Vec::new(),
            state_alone: false,
        }
    }

    /// Calls of the kernels for rows of a width.
    fn calls_for(&self, width: usize, storage: Storage) -> Calls {
        let head = self.heads.get(&width).copied().unwrap_or(NO_HEADS);
        Calls { source: Source { width, head, storage } }
    }

    /// Calls of the kernels that don't know a width.
    pub(crate) fn calls(&self) -> Calls {
        // Attention's are compiled anyway, if there is any.
        let width = self.heads.keys().max().copied().unwrap_or(NO_HEADS);
        self.calls_for(width, Storage::F32)
    }

    /// Calls of the kernels that round.
    fn rounding(&self) -> Calls {
        Calls { source: Source { storage: Storage::Bf16, ..self.calls().source } }
    }

    pub(crate) fn push(&mut self, operation: Operation) {
        self.operations.push(operation);
    }

    /// Makes room for what a place holds in each of so many slots.
    pub(crate) fn keep_apart(&mut self, place: Place, slots: usize) -> Span {
        self.places.keep_apart(&mut self.layout, place, slots)
    }

    /// Rounds the parameters, where products want that: before anything else.
    pub(crate) fn round_parameters(&mut self) -> Result<()> {
        let Places { front, each_loop, low, .. } = self.places;
        let all = [front.values, each_loop.values];
        for (values, low) in all.into_iter().zip(low.into_iter().flatten()).filter(|(all, _)| all.len() > 0) {
            let operation = self.rounding().narrow(values, low)?;
            self.push(operation);
        }
        Ok(())
    }

    /// The value of a parameter.
    fn param(&self, param: Param) -> Span {
        part(self.places.front.values, self.flat.param(param))
    }

    /// The value of a parameter as a product's operand.
    fn weight(&self, param: Param, element: Element) -> Span {
        self.operand_of(self.places.row(self.flat.param(param)), element)
    }

    /// Numbers that are the same for all prompts as a product's operand.
    fn operand_of(&self, row: Row, element: Element) -> Span {
        row.low.filter(|_| element == Element::Bf16).unwrap_or(row.values)
    }

    /// The gradient with respect to a parameter.
    fn grad(&self, param: Param) -> Span {
        part(self.places.front.grads, self.flat.param(param))
    }

    /// A row that all prompts share, in a loop.
    pub(crate) fn shared(&self, shared: Shared, index: usize) -> Row {
        if let Some((_, row)) = self.brought.iter().find(|(known, _)| *known == shared) {
            return *row;
        }
        self.places.row(self.flat.shared(shared, index))
    }

    /// Room of so many floats that the operations of one step need for themselves.
    pub(crate) fn room(&mut self, what: &'static str, len: usize) -> Span {
        *self.rooms.entry((what, len)).or_insert_with(|| self.layout.floats(len))
    }

    fn picks(&mut self, chunk: &Chunk) -> Picks {
        if let Some((_, picks)) = self.picks.iter().find(|(known, _)| known == chunk) {
            return *picks;
        }
        let place = |token: usize| {
            let found = chunk.reads.iter().position(|read| *read == token);
            found.map_or(-1, |place| place as i32)
        };
        let reads: Vec<i32> = chunk.reads.iter().map(|read| *read as i32).collect();
        let picked: Vec<i32> = (0..chunk.tokens).map(place).collect();
        let spans = [reads.len(), picked.len()].map(|len| self.layout.floats(len));
        self.constants.push(Constant::Ints(spans[0], reads));
        self.constants.push(Constant::Ints(spans[1], picked));
        let picks = Picks { tokens: chunk.tokens, reads: spans[0], picked: spans[1] };
        self.picks.push((chunk.clone(), picks));
        picks
    }

    fn turns(&mut self, head: usize) -> Span {
        if let Some(span) = self.turns.get(&head) {
            return *span;
        }
        let turn = |position| (0..head / 2).map(move |i| Rotary::turn(i, head, position));
        let all = (0..self.positions).flat_map(turn).flat_map(|(cos, sin)| [cos as f32, sin as f32]);
        let all: Vec<f32> = all.collect();
        let span = self.layout.floats(all.len());
        self.constants.push(Constant::Floats(span, all));
        self.turns.insert(head, span);
        span
    }

    /// A pair of lists on a chunk's tokens. Of a loop's slot, what lies before `own` is everybody's.
    pub(crate) fn pair<'c>(&self, lists: [&'c [Step]; 2], chunk: &Chunk, own: u32) -> Pair<'c> {
        let attention = |step: &Step| {
            let (heads, prefix, place) = match step.kernel {
                Kernel::Attention { heads, prefix } => (heads, prefix, step.places[2]),
                Kernel::AttentionBack { heads, prefix } => (heads, prefix, step.places[3]),
                _ => return false,
            };
            let head = place.len as usize / chunk.rows().max(1) / heads.heads.max(1);
            Cores::Tensor.can(Seen { tokens: chunk.tokens, prefix, causal: heads.causal }, head)
        };
        let rule = Rule { lists, own, rounds: self.math == Math::Bf16, attention: &attention };
        Pair { lists, stored: Stored::of(&rule) }
    }

    /// The operations of a pair's list, forward (0) or backward (1).
    pub(crate) fn list(&mut self, half: usize, run: Run<'_>) -> Result<()> {
        let steps = run.pair.lists[half];
        self.low.begin();
        for (step, of) in steps.iter().enumerate() {
            if has_no_rows(of) {
                continue;
            }
            for place in written(of) {
                self.low.forget(self.places.at(place, run.slot));
            }
            let here = Here { run, half, steps, step };
            if !here.is_done_by_another() {
                self.step(here).map_err(|error| self.told(of, error))?;
            }
        }
        Ok(())
    }

    /// An error with the node's name and place.
    fn told(&self, step: &Step, error: Error) -> Error {
        let node = self.graph.node(step.node);
        let scope = if node.scope.is_empty() { String::new() } else { format!("{}: ", node.scope) };
        Error::Operation {
            operation: format!("{scope}{} at {}", node.name(), node.at),
            problem: error.to_string(),
        }
    }

    /// Calls of the kernels that don't know a width, for numbers stored as these.
    fn calls_of(&self, numbers: Span) -> Calls {
        if numbers.element() == Element::Bf16 { self.rounding() } else { self.calls() }
    }

    /// Where the numbers of one of a step's places lie.
    fn get(&self, here: Here<'_>, which: usize) -> Span {
        let span = self.places.at(here.of().places[which], here.run.slot);
        self.low.known(span).unwrap_or(span)
    }

    /// Where the numbers go that a step writes to one of its places.
    fn put(&mut self, here: Here<'_>, which: usize) -> Span {
        let place = here.of().places[which];
        let span = self.places.at(place, here.run.slot);
        let (stored, spot) = (&here.run.pair.stored, (here.half, here.step, which));
        if !stored.elsewhere(spot) {
            return span;
        }
        let kept = place.space == Space::Slot;
        let to = match stored.home(spot) {
            Some(home) => self.home(here.run, home),
            None if self.math != Math::Bf16 => return span,
            None if kept => self.low.keeping(&mut self.layout, span),
            None => self.low.passing(&mut self.layout, span.len()),
        };
        self.low.note(span, to, kept);
        to
    }

    /// Room for the operand of a weight's gradient.
    fn home(&mut self, run: Run<'_>, (half, step, operand): Spot) -> Span {
        let steps = run.pair.lists[half];
        let at = (steps.as_ptr() as usize, step);
        self.low.late(&mut self.layout, at, &steps[step], run.runs, operand)
    }

    /// Room for partial sums, and what they are for.
    pub(crate) fn sum(
        &mut self,
        here: Here<'_>,
        key: Key,
        shape: [usize; 2],
        goals: &[(usize, Span)],
    ) -> Span {
        // What has a gradient of its own in each loop is summed up alone.
        let runs = if key.3.is_some() { [0, 1] } else { here.run.runs };
        self.sums.room(&mut self.layout, key, runs, shape, goals)
    }
}

/// Whether a step does nothing on these tokens.
fn has_no_rows(step: &Step) -> bool {
    !step.places.is_empty() && step.places.iter().all(|place| place.len == 0)
}

/// How numbers are stored at a place.
fn storage(numbers: Span) -> Storage {
    if numbers.element() == Element::Bf16 { Storage::Bf16 } else { Storage::F32 }
}

fn part(of: Span, range: std::ops::Range<usize>) -> Span {
    of.part(range.start, range.len())
}

/// The width of heads in attention to rows of each width: kernels are compiled for both together.
fn heads(graph: &Graph) -> HashMap<usize, usize> {
    let mut heads = HashMap::new();
    for id in graph.ids() {
        let node = graph.node(id);
        if let Some(Form::Attention(of)) = node.op().map(Op::form) {
            let width = node.shapes[0].width;
            heads.insert(width, width / of.heads.max(1));
        }
    }
    heads
}

/// Sets floats to 0.
pub(crate) fn clear(span: Span) -> Operation {
    debug_assert_eq!(span.element(), Element::F32);
    Operation::Clear(span)
}
