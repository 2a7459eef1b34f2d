//! Operations on parameters alone: computed once a step, for all threads.

use std::ops::Range;

use looped_graph::lower::{OnceAStep, Program};
use looped_graph::{Form, Graph, Op, Wire};

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

/// Computes what depends on parameters alone, in `flat`.
pub(crate) fn forward(graph: &Graph, layout: &Layout, flat: &mut [f32]) {
    let all = Program::once_a_step(graph);
    for once in &all {
        let Of { inputs, results } = places(graph, layout, &all, once);
        let Some(Form::Custom(custom)) = graph.node(once.node).op().map(Op::form) else { continue };
        let Some(kernel) = custom.cpu() else { continue };
        let mut outs: Vec<Vec<f32>> = results.iter().map(|range| vec![0.0; range.len()]).collect();
        {
            let inputs: Vec<&[f32]> = inputs.iter().map(|range| &flat[range.clone()]).collect();
            let mut outs: Vec<&mut [f32]> = outs.iter_mut().map(Vec::as_mut_slice).collect();
            kernel.forward(&inputs, &mut outs);
        }
        for (range, out) in results.into_iter().zip(outs) {
            flat[range].copy_from_slice(&out);
        }
    }
}

/// Carries the gradients with respect to their results on to the parameters, in `grads`.
pub(crate) fn backward(graph: &Graph, layout: &Layout, flat: &[f32], grads: &mut [f32]) {
    let all = Program::once_a_step(graph);
    for once in all.iter().rev() {
        let Of { inputs, results } = places(graph, layout, &all, once);
        let Some(Form::Custom(custom)) = graph.node(once.node).op().map(Op::form) else { continue };
        let Some(kernel) = custom.cpu() else { continue };
        let mut dinputs: Vec<Vec<f32>> = inputs.iter().map(|range| grads[range.clone()].to_vec()).collect();
        {
            let values: Vec<&[f32]> = inputs.iter().map(|range| &flat[range.clone()]).collect();
            let dresults: Vec<&[f32]> = results.iter().map(|range| &grads[range.clone()]).collect();
            let mut dinputs: Vec<&mut [f32]> = dinputs.iter_mut().map(Vec::as_mut_slice).collect();
            kernel.backward(&values, &dresults, &mut dinputs);
        }
        for (range, d) in inputs.into_iter().zip(dinputs) {
            grads[range].copy_from_slice(&d);
        }
    }
}
