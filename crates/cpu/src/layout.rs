//! Where each parameter lies in one flat buffer of all, and each gradient in another.

use std::ops::Range;

use candle_core::{Storage, Var};
use looped_core::{Error, ParamStore, Result};
use looped_graph::lower::{Once, Program, Shared};
use looped_graph::{Graph, Param, ParamInfo};

/// Floats in a cache line.
const LINE: usize = 16;

/// The parameters in the graph's order, then the results of operations on parameters alone, then those of each loop; each starts on a cache line.
pub struct Layout {
    params: Vec<Range<usize>>,
    steps: Vec<Range<usize>>,
    names: Vec<String>,
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
        let (mut len, mut of_loop) = (0, 0);
        let params = places(graph.params().iter().map(ParamInfo::len), &mut len);
        let steps = places(widths(graph, &Program::once_a_step(graph)), &mut len);
        let each_loop = places(widths(graph, &Program::once_a_loop(graph)), &mut of_loop);
        let names = graph.params().iter().map(|info| info.name.clone()).collect();
        Self { params, steps, names, len, each_loop, of_loop }
    }

    /// Floats of the whole buffer for so many loops.
    #[must_use]
    pub const fn len_for(&self, loops: usize) -> usize {
        self.len + loops * self.of_loop
    }

    /// Where a parameter lies.
    #[must_use]
    pub fn param(&self, param: Param) -> Range<usize> {
        self.params[param.index()].clone()
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

    /// Name and place of every parameter.
    pub fn entries(&self) -> impl Iterator<Item = (&str, Range<usize>)> {
        self.names.iter().map(String::as_str).zip(self.params.iter().cloned())
    }

    /// Copies the values of `store` to `flat`.
    ///
    /// # Errors
    /// If the store lacks a parameter, holds another one or one of another size, or isn't f32 on the CPU.
    pub fn read(&self, store: &ParamStore, flat: &mut [f32]) -> Result<()> {
        let (holds, has) = (store.iter().count(), self.names.len());
        if holds != has {
            return Err(Error::Parameters(format!("the store holds {holds}, the model has {has}")));
        }
        for (name, range) in self.entries() {
            let var = store.get(name).ok_or_else(|| Error::Parameters(format!("{name} is missing")))?;
            copy(name, var, &mut flat[range])?;
        }
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

fn copy(name: &str, var: &Var, to: &mut [f32]) -> Result<()> {
    let refuse = |what: &str| Err(Error::Parameters(format!("{name}: {what}")));
    if var.elem_count() != to.len() {
        return refuse(&format!("has shape {:?}, the model needs {} values", var.dims(), to.len()));
    }
    let (storage, layout) = var.storage_and_layout();
    let (Storage::Cpu(storage), Some((start, end))) = (&*storage, layout.contiguous_offsets()) else {
        return refuse("isn't contiguous on the CPU, where this engine runs");
    };
    to.copy_from_slice(&storage.as_slice::<f32>()?[start..end]);
    Ok(())
}
