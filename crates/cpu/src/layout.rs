//! Where each parameter lies in one flat buffer of all, and each gradient in another.

use std::ops::Range;
use std::sync::Arc;

use looped_core::{Error, Flat, Result};
use looped_graph::lower::{Once, Program, Shared};
use looped_graph::{Graph, Param};

/// Floats in a cache line.
const LINE: usize = 16;

/// The parameters in the graph's order, then the results of operations on parameters alone, then those of each loop; each starts on a cache line.
pub struct Layout {
    params: Arc<looped_core::Layout>,
    steps: Vec<Range<usize>>,
    /// Floats of the buffer but for what each loop has.
    pub len: usize,
    /// Within what a loop has.
    each_loop: Vec<Range<usize>>,
    of_loop: usize,
}

impl Layout {
    /// The places for a graph's parameters.
    #[must_use]
    pub fn new(graph: &Graph) -> Self {
        let params = Arc::new(looped_core::Layout::of(graph));
        let (mut len, mut of_loop) = (params.len(), 0);
        let steps = places(widths(graph, &Program::once_a_step(graph)), &mut len);
        let each_loop = places(widths(graph, &Program::once_a_loop(graph)), &mut of_loop);
        Self { params, steps, len, each_loop, of_loop }
    }

    /// Floats of the whole buffer for so many loops.
    #[must_use]
    pub const fn len_for(&self, loops: usize) -> usize {
        self.len + loops * self.of_loop
    }

    /// The places of the parameters alone.
    #[must_use]
    pub fn params(&self) -> &Arc<looped_core::Layout> {
        &self.params
    }

    /// Where a parameter lies.
    #[must_use]
    pub fn param(&self, param: Param) -> Range<usize> {
        self.params.places()[param.index()].range.clone()
    }

    /// Where a row lies that is the same for all prompts, in a loop.
    #[must_use]
    pub fn shared(&self, shared: Shared, index: usize) -> Range<usize> {
        match shared {
            Shared::Param(param) => self.param(param),
            Shared::Step(place) => self.steps[place].clone(),
            Shared::Loop { table, rows, beyond } => {
                // A row of its own, whatever the number of loops.
                row(self.param(table), rows, beyond.place(rows, index, 0).low)
            }
            Shared::EachLoop(place) => {
                let (start, of) = (self.len + index * self.of_loop, &self.each_loop[place]);
                start + of.start..start + of.end
            }
        }
    }

    /// Whether there is more than parameters: rows that are computed of them.
    #[must_use]
    pub fn has_rows(&self) -> bool {
        !(self.steps.is_empty() && self.each_loop.is_empty())
    }

    /// Refuses the values of another model's parameters.
    ///
    /// # Errors
    /// If they lack a parameter, or hold another one or one of another shape.
    pub fn check(&self, values: &Flat) -> Result<()> {
        let (own, other) = (&self.params, values.layout());
        if own == other {
            return Ok(());
        }
        let (has, holds) = (own.places().len(), other.places().len());
        if has != holds {
            return Err(Error::Parameters(format!("the store holds {holds}, the model has {has}")));
        }
        let apart = own.places().iter().zip(other.places()).find(|(own, other)| own != other);
        let what = apart.map_or_else(String::new, |(own, other)| {
            format!(
                "the store holds {} {:?} where the model has {} {:?}",
                other.name, other.dims, own.name, own.dims
            )
        });
        Err(Error::Parameters(what))
    }

    /// Copies the parameters' values to the beginning of `flat`.
    ///
    /// # Errors
    /// As [`Layout::check`].
    pub fn read(&self, values: &Flat, flat: &mut [f32]) -> Result<()> {
        self.check(values)?;
        flat[..values.len()].copy_from_slice(values);
        Ok(())
    }
}

/// Places one after another, each of so many floats.
fn places(lens: impl Iterator<Item = usize>, end: &mut usize) -> Vec<Range<usize>> {
    let take = |len| {
        let range = *end..*end + len;
        *end = range.end.next_multiple_of(LINE);
        range
    };
    lens.map(take).collect()
}

/// The width of each result of some operations.
fn widths<'a>(graph: &'a Graph, all: &'a [Once]) -> impl Iterator<Item = usize> + 'a {
    all.iter().flat_map(|once| graph.node(once.node).shapes.iter().map(|shape| shape.width))
}

/// Where one of the rows of a table lies.
pub(crate) fn row(table: Range<usize>, rows: usize, row: usize) -> Range<usize> {
    let width = table.len() / rows.max(1);
    table.start + row * width..table.start + (row + 1) * width
}

/// Two ranges of a flat buffer at once; one may be empty.
pub(crate) fn two(flat: &mut [f32], first: Range<usize>, second: Range<usize>) -> [&mut [f32]; 2] {
    match flat.get_disjoint_mut([first, second]) {
        Ok(parts) => parts,
        Err(error) => unreachable!("two parameters don't overlap: {error}"),
    }
}
