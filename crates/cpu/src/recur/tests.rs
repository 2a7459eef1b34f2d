//! Recorded cells against candle's gradient of what they mean.

use candle_core::{DType, Device, Tensor, Var};
use looped_graph::{Form, Graph, Init, Linear, Meaning, Norm, Op, Trace, Value};
use looped_ops::{AlignedBuffer, Kernels, Scratch};

use super::{Backward, CellRun, Extent, Forward};
use crate::layout::Layout;
use crate::weights::{Packed, Weights, layers};

/// Numbers between -1 and 1.
fn values(seed: u64, len: usize) -> Vec<f32> {
    looped_core::Rng::stream(seed, "recur", 0)
        .normals(len)
        .into_iter()
        .map(|x: f32| (0.6 * x).tanh())
        .collect()
}

fn record(width: usize, cell: impl FnOnce(&Trace, Value<'_>)) -> Graph {
    let trace = Trace::new();
    let x = trace.input(width);
    cell(&trace, x);
    trace.finish().unwrap()
}

fn linear(trace: &Trace, name: &str, inputs: usize, out: usize) -> Linear {
    let init = Init::Normal { std: 1.0 };
    Linear::new(inputs, out, init, init, &mut trace.params().scope(name))
}

fn lstm(inputs: usize, width: usize) -> Graph {
    record(inputs, |trace, x| {
        let (of_x, of_h) = (linear(trace, "x", inputs, 4 * width), linear(trace, "h", width, 4 * width));
        let _ = x.recur([width, width], |x, [h, c]| {
            let [input, forget, new, output] = (x.linear(&of_x) + h.linear(&of_h)).split();
            let c = forget.sigmoid() * c + input.sigmoid() * new.tanh();
            [output.sigmoid() * c.tanh(), c]
        });
    })
}

fn gru(inputs: usize, width: usize) -> Graph {
    record(inputs, |trace, x| {
        let (of_x, of_h) = (linear(trace, "x", inputs, 3 * width), linear(trace, "h", width, 3 * width));
        let _ = x.recur([width], |x, [h]| {
            let ([xr, xu, xn], [hr, hu, hn]) = (x.linear(&of_x).split(), h.linear(&of_h).split());
            let (reset, update) = ((xr + hr).sigmoid(), (xu + hu).sigmoid());
            let new = (xn + reset * hn).tanh();
            [new + update * (h - new)]
        });
    })
}

/// The gated unit of Cho et al., whose reset comes before the product.
fn reset_first(inputs: usize, width: usize) -> Graph {
    record(inputs, |trace, x| {
        let of_x = linear(trace, "x", inputs, 3 * width);
        let (of_h, of_reset) = (linear(trace, "h", width, 2 * width), linear(trace, "r", width, width));
        let _ = x.recur([width], |x, [h]| {
            let ([xr, xu, xn], [hr, hu]) = (x.linear(&of_x).split(), h.linear(&of_h).split());
            let (reset, update) = ((xr + hr).sigmoid(), (xu + hu).sigmoid());
            let new = (xn + (reset * h).linear(&of_reset)).tanh();
            [h * update + new * (new.like(1.0) - update)]
        });
    })
}

/// No product of the input; what is read of it is read at the token.
fn plain(inputs: usize, width: usize) -> Graph {
    assert!(inputs >= width);
    record(inputs, |trace, x| {
        let of_h = linear(trace, "h", width, width);
        let _ = x.recur([width], |x, [h]| [(x.columns(inputs - width..inputs) + h.linear(&of_h)).tanh()]);
    })
}

/// Norms, columns of what a program makes, rows side by side, chains of products, a state that is handed on, and elementwise code on the input alone.
fn everything(inputs: usize, width: usize) -> Graph {
    record(inputs, |trace, x| {
        let norm = |name: &str, width| Norm::layer(width, &mut trace.params().scope(name));
        let rms = Norm::rms(width, &mut trace.params().scope("rms"));
        let halves = Norm::rms_of_groups(2 * width, 2, &mut trace.params().scope("halves"));
        let (of_x, of_h) = (linear(trace, "x", inputs, 2 * width), linear(trace, "h", width, 2 * width));
        let (of_both, second) =
            (linear(trace, "b", 2 * width + inputs, width), linear(trace, "s", width, width));
        let narrow = linear(trace, "n", width - 1, width);
        let (ln_h, ln_x, ln_z) = (norm("ln_h", width), norm("ln_x", inputs), norm("ln_z", 2 * width));
        let _ = x.recur([width, width, width], |x, [h, old, older]| {
            let gate = x.norm(&ln_x).gelu().linear(&of_x);
            let z = (gate.tanh() + h.norm(&ln_h).linear(&of_h)).norm(&halves).norm(&ln_z).sigmoid();
            let [a, b] = z.split();
            let wide = Value::concat(&[a * older, x, old.exp() / (b + 1.5)]);
            let y = wide.linear(&of_both).linear(&second).norm(&rms);
            let y = y + h.columns(1..width).linear(&narrow) * a + (b * b + 0.1).sqrt().log();
            [(y.relu() - h * 0.3).tanh(), h, old - y * 0.1]
        });
    })
}

struct Results {
    outs: Vec<Vec<f64>>,
    dx: Vec<f64>,
    grads: Vec<Vec<f64>>,
}

/// In f64, all tokens at once.
fn by_candle(
    graph: &Graph,
    params: &[Vec<f32>],
    shape: [usize; 3],
    x: &[f32],
    slopes: &[Vec<f32>],
) -> Results {
    let device = &Device::Cpu;
    let var = |values: &[f32], dims: &[usize]| {
        let tensor = Tensor::from_slice(values, dims, device).unwrap().to_dtype(DType::F64).unwrap();
        Var::from_tensor(&tensor).unwrap()
    };
    let vars: Vec<Var> = params.iter().zip(graph.params()).map(|(p, info)| var(p, &info.dims)).collect();
    let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let x = var(x, &shape);
    let of = Meaning {
        params: &tensors,
        index: 0,
        loops: 1,
        sequences: shape[0],
        tokens: shape[1],
        dtype: DType::F64,
        device,
    };
    let op = graph.nodes().last().unwrap().op().unwrap();
    let outs = op.meaning(&[x.as_tensor().clone()], of).unwrap();
    let mut loss = Tensor::zeros((), DType::F64, device).unwrap();
    for (out, slope) in outs.iter().zip(slopes) {
        let slope = Tensor::from_slice(slope, out.dims(), device).unwrap().to_dtype(DType::F64).unwrap();
        loss = (loss + (out * slope).unwrap().sum_all().unwrap()).unwrap();
    }
    let grads = loss.backward().unwrap();
    let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f64>().unwrap();
    Results {
        outs: outs.iter().map(flat).collect(),
        dx: flat(grads.get(&x).unwrap()),
        grads: vars.iter().map(|var| flat(grads.get(var).unwrap())).collect(),
    }
}

/// Tokens `range` of rows (sequences, tokens, width).
fn tokens(all: &[f32], [sequences, count, width]: [usize; 3], range: std::ops::Range<usize>) -> Vec<f32> {
    let of = |s: usize| &all[(s * count + range.start) * width..(s * count + range.end) * width];
    (0..sequences).flat_map(of).copied().collect()
}

#[track_caller]
fn close(what: &str, got: &[f32], want: &[f64]) {
    assert_eq!(got.len(), want.len(), "{what}");
    let scale = want.iter().fold(1e-3, |m: f64, x| m.max(x.abs()));
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let error = (f64::from(*got) - want).abs();
        assert!(error <= 1e-5 * scale, "{what}[{i}]: {got}, not {want}");
    }
}

fn check(graph: &Graph, sequences: usize, count: usize, prefix: usize, read: &[usize]) {
    let Some(Form::Recur(cell)) = graph.nodes().last().unwrap().op().map(Op::form) else {
        panic!("a graph of one recurrence")
    };
    let width = graph.nodes()[0].shapes[0].width;
    let params: Vec<Vec<f32>> =
        graph.params().iter().enumerate().map(|(i, info)| values(i as u64, info.len())).collect();
    let x = values(90, sequences * count * width);
    let slopes: Vec<Vec<f32>> = cell
        .widths
        .iter()
        .enumerate()
        .map(|(i, w)| {
            let all = values(91 + i as u64, sequences * count * w);
            if read.contains(&i) { all } else { vec![0.0; all.len()] }
        })
        .collect();
    let want = by_candle(graph, &params, [sequences, count, width], &x, &slopes);

    let layout = Layout::new(graph);
    let mut flat = AlignedBuffer::zeros(layout.len);
    for (values, looped_core::Place { range, .. }) in params.iter().zip(layout.params().places()) {
        flat[range.clone()].copy_from_slice(values);
    }
    let mut packed = Packed::default();
    let how = (Kernels::best(), true);
    let weights = Weights::new(graph, &layers(graph), &layout, &flat, how, 1, &mut packed);
    let plan = CellRun::new(cell, width).unwrap();

    // The prefix, and what comes after it.
    let parts: Vec<(std::ops::Range<usize>, Extent)> = [(0..prefix, false), (prefix..count, prefix > 0)]
        .into_iter()
        .filter(|(range, _)| !range.is_empty())
        .map(|(range, prefix)| (range.clone(), Extent { sequences, tokens: range.len(), prefix }))
        .collect();
    let kernel_scratch = &mut Scratch::new();
    let mut before: Vec<f32> = Vec::new();
    let mut tapes = Vec::new();
    for (range, of) in &parts {
        let x = tokens(&x, [sequences, count, width], range.clone());
        let mut results = Vec::new();
        for recorded in [false, true] {
            let mut tape = vec![f32::NAN; if recorded { plan.room(*of).tape } else { 0 }];
            let mut last = vec![f32::NAN; plan.memory_len(sequences)];
            let mut outs: Vec<Vec<f32>> =
                read.iter().map(|&i| vec![f32::NAN; sequences * range.len() * cell.widths[i]]).collect();
            let mut slices: Vec<&mut [f32]> = outs.iter_mut().map(Vec::as_mut_slice).collect();
            let pass = Forward {
                x: &x,
                before: &before,
                last: &mut last,
                tape: &mut tape,
                scratch: &mut vec![f32::NAN; plan.room(*of).scratch],
                read,
                outs: &mut slices,
            };
            plan.forward(&weights, *of, pass, kernel_scratch);
            results.push((outs, last, tape));
        }
        let (outs, last, tape) = results.pop().unwrap();
        assert!(results[0].0 == outs && results[0].1 == last, "with a tape and without");
        for (out, &i) in outs.iter().zip(read) {
            let all: Vec<f32> = want.outs[i].iter().map(|&x| x as f32).collect();
            let all = tokens(&all, [sequences, count, cell.widths[i]], range.clone());
            close("state", out, &all.iter().map(|&x| f64::from(x)).collect::<Vec<_>>());
        }
        tapes.push(tape);
        before = last;
    }

    let mut grads = vec![0.0; layout.len];
    let mut dlast: Vec<f32> = Vec::new();
    for ((range, of), tape) in parts.iter().zip(&mut tapes).rev() {
        let x = tokens(&x, [sequences, count, width], range.clone());
        let douts: Vec<Vec<f32>> = read
            .iter()
            .map(|&i| tokens(&slopes[i], [sequences, count, cell.widths[i]], range.clone()))
            .collect();
        let slices: Vec<&[f32]> = douts.iter().map(Vec::as_slice).collect();
        let held = values(99, x.len());
        let mut dbefore = vec![0.0; if of.prefix { plan.memory_len(sequences) } else { 0 }];
        let mut dx = held.clone();
        let pass = Backward {
            x: &x,
            dlast: &dlast,
            tape,
            scratch: &mut vec![f32::NAN; plan.room(*of).scratch],
            read,
            douts: &slices,
            dbefore: &mut dbefore,
            dx: &mut dx,
            add: of.prefix,
        };
        plan.backward(&weights, &mut grads, *of, pass, kernel_scratch);
        let all: Vec<f32> = want.dx.iter().map(|&x| x as f32).collect();
        let all = tokens(&all, [sequences, count, width], range.clone());
        let held = held.iter().map(|&held| if of.prefix { f64::from(held) } else { 0.0 });
        let want: Vec<f64> = all.iter().zip(held).map(|(&d, held)| f64::from(d) + held).collect();
        close("dx", &dx, &want);
        dlast = dbefore;
    }
    for (looped_core::Place { name, range, .. }, want) in layout.params().places().iter().zip(&want.grads) {
        close(name, &grads[range.clone()], want);
    }
}

#[test]
fn cells_are_as_candle_computes_them_at_any_size_with_a_prefix_and_without() {
    for (sequences, count, prefix) in [(1, 1, 0), (3, 5, 0), (2, 7, 4), (5, 3, 1), (1, 6, 5)] {
        for (inputs, width) in [(5, 3), (7, 7), (33, 19)] {
            check(&lstm(inputs, width), sequences, count, prefix, &[0]);
            check(&lstm(inputs, width), sequences, count, prefix, &[1, 0]);
            check(&gru(inputs, width), sequences, count, prefix, &[0]);
            check(&reset_first(inputs, width), sequences, count, prefix, &[0]);
            check(&plain(inputs, width), sequences, count, prefix, &[0]);
            check(&everything(inputs, width), sequences, count, prefix, &[0, 2]);
        }
    }
}

/// An LSTM keeps what the one by hand keeps: its gates, cells and hidden states. A GRU keeps two numbers less.
#[test]
fn gates_take_the_place_of_their_sums() {
    let of = Extent { sequences: 4, tokens: 8, prefix: false };
    let cell = |graph: &Graph| match graph.nodes().last().unwrap().op().map(Op::form) {
        Some(Form::Recur(cell)) => CellRun::new(cell, 16).unwrap().room(of).tape,
        _ => panic!("a graph of one recurrence"),
    };
    let (rows, step) = (4 * 8 * 16, 4 * 16);
    assert_eq!(cell(&lstm(16, 16)), 6 * rows + 2 * step);
    assert_eq!(cell(&gru(16, 16)), 5 * rows + step);
}

#[test]
fn what_has_no_kernel_is_refused_with_its_name_and_place() {
    let graph = record(4, |trace, x| {
        let layer = linear(trace, "narrow", 4, 1);
        let _ = x.recur([4], |x, [h]| [x + h * Value::concat(&[h.linear(&layer); 4])]);
    });
    let Some(Form::Recur(cell)) = graph.nodes().last().unwrap().op().map(Op::form) else { panic!() };
    let message = CellRun::new(cell, 4).unwrap_err();
    assert!(
        message.starts_with("linear `narrow` within a recurrence: a product has two columns at least, at "),
        "{message}"
    );
    assert!(message.contains("recur/tests.rs:"), "{message}");
}
