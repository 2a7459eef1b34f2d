//! Operations on rows that are the same for all prompts: computed for all threads, once a step or once for each of its loops.

use std::collections::HashMap;
use std::ops::Range;

use looped_graph::lower::{Once, Program, Shared};
use looped_graph::ops::{Between, ByLoop, Func};
use looped_graph::{Form, Graph, Op, PointProgram, Wire};

use crate::layout::{Layout, row};

/// The rows of a graph that are the same for all prompts, in a pass of so many loops.
struct Rows<'a> {
    graph: &'a Graph,
    layout: &'a Layout,
    shared: HashMap<Wire, Shared>,
    loops: usize,
}

/// The places of an operation's operands and results in the flat buffer.
struct Of {
    inputs: Vec<Range<usize>>,
    results: Vec<Range<usize>>,
}

impl<'a> Rows<'a> {
    fn new(graph: &'a Graph, layout: &'a Layout, loops: usize) -> Self {
        Self { graph, layout, shared: Program::shared(graph), loops }
    }

    /// Everything that is computed, with the loop it is computed for, each after what it reads.
    fn all(&self) -> Vec<(Once, usize)> {
        let once = Program::once_a_step(self.graph).into_iter().map(|once| (once, 0));
        let each = Program::once_a_loop(self.graph);
        let each = (0..self.loops).flat_map(|index| each.iter().cloned().map(move |once| (once, index)));
        once.chain(each).collect()
    }

    fn form(&self, once: &Once) -> Option<Form<'_>> {
        self.graph.node(once.node).op().map(Op::form)
    }

    fn places(&self, once: &Once, index: usize) -> Of {
        // Whatever is one row for all prompts has its place.
        let place = |wire: &Wire| self.shared.get(wire).map_or(0..0, |row| self.layout.shared(*row, index));
        let inputs = self.graph.node(once.node).inputs.iter().map(place).collect();
        let wire = |output| Wire { node: once.node, output };
        Of { inputs, results: (0..once.results.len()).map(|output| place(&wire(output))).collect() }
    }

    /// The two rows of a table that a loop's row lies between, with the part that each has in it.
    fn between(&self, of: &ByLoop, index: usize) -> [(Range<usize>, f32); 2] {
        let Between { low, high, part } = of.place(index, self.loops);
        let at = |at: usize| row(self.layout.param(of.table), of.rows(), at);
        [(at(low), 1.0 - part), (at(high), part)]
    }
}

fn zeros(of: &[Range<usize>]) -> Vec<Vec<f32>> {
    of.iter().map(|range| vec![0.0; range.len()]).collect()
}

fn parts<'a>(of: &[Range<usize>], flat: &'a [f32]) -> Vec<&'a [f32]> {
    of.iter().map(|range| &flat[range.clone()]).collect()
}

fn writable(of: &mut [Vec<f32>]) -> Vec<&mut [f32]> {
    of.iter_mut().map(Vec::as_mut_slice).collect()
}

/// Computes, in `flat`, the rows of a pass of so many loops.
pub fn forward(graph: &Graph, layout: &Layout, flat: &mut [f32], loops: usize) {
    let rows = Rows::new(graph, layout, loops);
    for (once, index) in rows.all() {
        let Of { inputs, results } = rows.places(&once, index);
        let (given, mut outs) = (parts(&inputs, flat), zeros(&results));
        match rows.form(&once) {
            Some(Form::Custom(custom)) => {
                if let Some(kernel) = custom.cpu() {
                    kernel.forward(&given, &mut writable(&mut outs));
                }
            }
            Some(Form::Point(func)) => point(&PointProgram::of(func), &given, &mut outs),
            Some(Form::Columns(columns)) => outs[0].copy_from_slice(&given[0][columns.clone()]),
            Some(Form::ByLoop(of)) => {
                for (range, part) in rows.between(of, index) {
                    outs[0].iter_mut().zip(&flat[range]).for_each(|(out, value)| *out += part * value);
                }
            }
            _ => {}
        }
        for (range, out) in results.into_iter().zip(outs) {
            flat[range].copy_from_slice(&out);
        }
    }
}

/// Carries the gradients with respect to those rows on to the parameters, in `grads`.
pub fn backward(graph: &Graph, layout: &Layout, flat: &[f32], grads: &mut [f32], loops: usize) {
    let rows = Rows::new(graph, layout, loops);
    for (once, index) in rows.all().into_iter().rev() {
        let Of { inputs, results } = rows.places(&once, index);
        let (values, dresults, mut dinputs) = (parts(&inputs, flat), parts(&results, grads), zeros(&inputs));
        match rows.form(&once) {
            Some(Form::Custom(custom)) => {
                if let Some(kernel) = custom.cpu() {
                    kernel.backward(&values, &dresults, &mut writable(&mut dinputs));
                }
            }
            Some(Form::Point(func)) => {
                let given: Vec<&[f32]> = values.into_iter().chain(dresults).collect();
                point(&slopes(func), &given, &mut dinputs);
            }
            Some(Form::Columns(columns)) => dinputs[0][columns.clone()].copy_from_slice(dresults[0]),
            Some(Form::ByLoop(of)) => {
                let slope = dresults[0].to_vec();
                for (range, part) in rows.between(of, index) {
                    grads[range].iter_mut().zip(&slope).for_each(|(all, own)| *all += part * own);
                }
            }
            _ => {}
        }
        // One by one, since an operation may read one row twice.
        for (range, d) in inputs.into_iter().zip(dinputs) {
            grads[range].iter_mut().zip(d).for_each(|(all, own)| *all += own);
        }
    }
}

/// The gradients with respect to a function's inputs, from those and the gradient with respect to its result.
fn slopes(func: Func) -> PointProgram {
    let wanted: Vec<usize> = (0..func.arity()).collect();
    PointProgram::of(func).gradient(&wanted, &[])
}

/// Computes a program at each place of its inputs.
fn point(program: &PointProgram, inputs: &[&[f32]], outs: &mut [Vec<f32>]) {
    for i in 0..outs.first().map_or(0, Vec::len) {
        let at: Vec<f64> = inputs.iter().map(|input| f64::from(input[i])).collect();
        for (out, value) in outs.iter_mut().zip(program.eval(&at)) {
            out[i] = value as f32;
        }
    }
}
