//! Operations on parameters alone: computed once a step, for all threads.

use std::ops::Range;

use looped_graph::lower::{OnceAStep, Program};
use looped_graph::ops::Func;
use looped_graph::{Form, Graph, Op, PointProgram, Wire};

use crate::layout::Layout;

/// The places of an operation's operands and results in the flat buffer.
struct Of {
    inputs: Vec<Range<usize>>,
    results: Vec<Range<usize>>,
}

fn places(graph: &Graph, layout: &Layout, all: &[OnceAStep], once: &OnceAStep) -> Of {
    let place = |wire: &Wire| match graph.node(wire.node).op().map(Op::form) {
        Some(Form::Parameter(param)) => layout.param(param),
        _ => {
            let of = all.iter().find(|of| of.node == wire.node);
            // Whatever isn't a parameter and is computed once a step is in the list.
            of.map_or(0..0, |of| layout.step(of.results[wire.output]))
        }
    };
    let inputs = graph.node(once.node).inputs.iter().map(place).collect();
    Of { inputs, results: once.results.iter().map(|place| layout.step(*place)).collect() }
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

/// Computes what depends on parameters alone, in `flat`.
pub fn forward(graph: &Graph, layout: &Layout, flat: &mut [f32]) {
    let all = Program::once_a_step(graph);
    for once in &all {
        let Of { inputs, results } = places(graph, layout, &all, once);
        let (given, mut outs) = (parts(&inputs, flat), zeros(&results));
        match graph.node(once.node).op().map(Op::form) {
            Some(Form::Custom(custom)) => {
                if let Some(kernel) = custom.cpu() {
                    kernel.forward(&given, &mut writable(&mut outs));
                }
            }
            Some(Form::Point(func)) => point(&PointProgram::of(func), &given, &mut outs),
            Some(Form::Columns(columns)) => outs[0].copy_from_slice(&given[0][columns.clone()]),
            _ => {}
        }
        for (range, out) in results.into_iter().zip(outs) {
            flat[range].copy_from_slice(&out);
        }
    }
}

/// Carries the gradients with respect to their results on to the parameters, in `grads`.
pub fn backward(graph: &Graph, layout: &Layout, flat: &[f32], grads: &mut [f32]) {
    let all = Program::once_a_step(graph);
    for once in all.iter().rev() {
        let Of { inputs, results } = places(graph, layout, &all, once);
        let (values, dresults, mut dinputs) = (parts(&inputs, flat), parts(&results, grads), zeros(&inputs));
        match graph.node(once.node).op().map(Op::form) {
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
