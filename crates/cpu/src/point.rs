//! Elementwise programs: their code for this processor, and their operands.

use std::sync::Arc;

use looped_graph::lower::{At, Kernel, Place, PointOf, Program, Strided};
use looped_ops::{Operand, PointCode, PointResult};

use crate::code::steps;
use crate::run::Run;
use crate::turns::Turns;

/// A program with the code of its elementwise steps.
pub(crate) struct Compiled {
    pub(crate) program: Program,
    pub(crate) codes: Vec<PointCode>,
    pub(crate) turns: Turns,
}

impl Compiled {
    pub(crate) fn new(program: Program) -> Arc<Self> {
        let points = program.lists().into_iter().flatten().filter_map(|step| match &step.kernel {
            Kernel::Point(of) => Some((of.id, code(of, step.places.len()))),
            _ => None,
        });
        let mut codes: Vec<(usize, PointCode)> = points.collect();
        codes.sort_unstable_by_key(|(id, _)| *id);
        let codes = codes.into_iter().map(|(_, code)| code).collect();
        let turns = Turns::of(&program);
        Arc::new(Self { program, codes, turns })
    }
}

/// The code of a step with so many places. Its operands are the places, then the rows that are the same for all prompts, in the order of
/// inputs and results.
fn code(of: &PointOf, places: usize) -> PointCode {
    let mut others = places;
    let mut place = |strided: &Strided| {
        let operand = match strided.at {
            At::Place(place) => place,
            At::Shared(_) | At::Gradient(_) => {
                others += 1;
                others - 1
            }
        };
        ops_place(operand, strided)
    };
    let inputs: Vec<looped_ops::Place> = of.inputs.iter().map(&mut place).collect();
    let result = |(i, (strided, add)): (usize, &(Strided, bool))| {
        let value = of.program.results[i];
        PointResult { value, place: place(strided), add: *add }
    };
    let results: Vec<PointResult> = of.results.iter().enumerate().map(result).collect();
    PointCode::new(of.width, &steps(&of.program), &inputs, &results)
}

fn ops_place(operand: usize, strided: &Strided) -> looped_ops::Place {
    looped_ops::Place { operand, column: strided.column, stride: strided.stride, block: None }
}

/// The most rows of gradients that an elementwise step adds to.
const MOST: usize = 16;

impl Run<'_> {
    pub(crate) fn point(&mut self, of: &PointOf, places: &[Place], slot: usize) {
        let (weights, flat, index) = (self.weights, self.weights.flat, self.index);
        let written = |place: usize| of.results.iter().any(|(strided, _)| strided.at == At::Place(place));
        let rows =
            of.inputs.iter().chain(of.results.iter().map(|(strided, _)| strided)).find_map(|strided| {
                match strided.at {
                    At::Place(place) if strided.stride > 0 => {
                        Some(places[place].len as usize / strided.stride)
                    }
                    _ => None,
                }
            });
        let slices = self.memory.some(places, slot);
        let mut operands: Vec<Operand<'_>> = slices
            .into_iter()
            .enumerate()
            .map(|(i, slice)| if written(i) { Operand::Write(slice) } else { Operand::Read(slice) })
            .collect();
        let mut gradients = [const { 0..0 }; MOST];
        let mut count = 0;
        for strided in of.inputs.iter().chain(of.results.iter().map(|(strided, _)| strided)) {
            match strided.at {
                At::Place(_) => {}
                At::Shared(shared) => operands.push(Operand::Read(&flat[weights.row(shared, index)])),
                At::Gradient(shared) => {
                    gradients[count] = weights.row(shared, index);
                    count += 1;
                }
            }
        }
        // Results come after all inputs, so their gradients are the last operands.
        match self.grads.get_disjoint_mut(gradients) {
            Ok(slices) => operands.extend(slices.into_iter().take(count).map(Operand::Write)),
            Err(error) => unreachable!("two parameters don't overlap: {error}"),
        }
        self.weights.exact.point(&self.codes[of.id], rows.unwrap_or(0), 0, &mut operands);
    }
}
