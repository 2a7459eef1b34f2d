//! Where each parameter lies in one flat buffer of all, and each gradient in another.

use std::ops::Range;

use candle_core::{Storage, Var};
use looped_core::{Error, ParamStore, Result};
use looped_graph::lower::{Program, Shared};
use looped_graph::{Graph, Param, Wire};

/// Floats in a cache line.
const LINE: usize = 16;

/// The parameters in the graph's order, then the results of operations on parameters alone; each starts on a cache line.
pub struct Layout {
    params: Vec<Range<usize>>,
    steps: Vec<Range<usize>>,
    names: Vec<String>,
    /// Floats of the whole buffer.
    pub len: usize,
}

impl Layout {
    /// The places for a graph's parameters.
    #[must_use]
    pub fn new(graph: &Graph) -> Self {
        let mut end = 0;
        let mut take = |len: usize| {
            let range = end..end + len;
            end = range.end.next_multiple_of(LINE);
            range
        };
        let params = graph.params().iter().map(|info| take(info.len())).collect();
        let mut steps = Vec::new();
        for once in Program::once_a_step(graph) {
            for output in 0..once.results.len() {
                steps.push(take(graph.shape(Wire { node: once.node, output }).width));
            }
        }
        let names = graph.params().iter().map(|info| info.name.clone()).collect();
        Self { params, steps, names, len: end }
    }

    /// Where a parameter lies.
    #[must_use]
    pub fn param(&self, param: Param) -> Range<usize> {
        self.params[param.index()].clone()
    }

    /// Where a result of an operation on parameters alone lies.
    #[must_use]
    pub fn step(&self, place: usize) -> Range<usize> {
        self.steps[place].clone()
    }

    /// Where a row lies that is the same for all prompts, in a loop.
    #[must_use]
    pub fn shared(&self, shared: Shared, index: usize) -> Range<usize> {
        match shared {
            Shared::Param(param) => self.param(param),
            Shared::Step(place) => self.step(place),
            Shared::Loop { table, rows } => {
                let of = self.param(table);
                let width = of.len() / rows.max(1);
                let start = of.start + index.min(rows.saturating_sub(1)) * width;
                start..start + width
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
