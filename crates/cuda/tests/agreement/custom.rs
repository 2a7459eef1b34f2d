//! Operations of an author's own, from their text in CUDA C: on rows of tokens, and on parameters alone.

use std::sync::Arc;

use candle_core::{Result, Tensor};
use looped_core::{LoopPlan, ModelDims, Objective, Prompts, Rng};
use looped_cuda::CudaModel;
use looped_graph::ops::{Beyond, CpuKernel, CudaText, Custom};
use looped_graph::{At, Graph, Init, Linear, Norm, Reach, Shape, Trace, Value};

use super::{Asked, check, fake, noisy_parameters};

/// Of rows x, y and w: x w + tanh(y), and the sum over each three numbers of x y. A thread of the backward pass takes three of them.
#[derive(Debug)]
struct Threes;

impl Custom for Threes {
    fn name(&self) -> String {
        "threes".to_owned()
    }

    fn shapes(&self, inputs: &[Shape]) -> std::result::Result<Vec<Shape>, String> {
        let rows = inputs[0].rows;
        let width = inputs[0].width;
        if !width.is_multiple_of(3) || inputs.iter().any(|input| input.width != width) {
            return Err("three rows of one width, three times some number".to_owned());
        }
        Ok(vec![Shape { rows, width }, Shape { rows, width: width / 3 }])
    }

    fn meaning(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let (x, y, w) = (&inputs[0], &inputs[1], &inputs[2]);
        let all = x.broadcast_mul(y)?;
        let (batch, tokens, width) = all.dims3()?;
        let sums = all.reshape((batch, tokens, width / 3, 3))?.sum(3)?;
        Ok(vec![x.broadcast_mul(w)?.broadcast_add(&y.tanh()?)?, sums])
    }

    fn reach(&self) -> Reach {
        Reach::Own
    }

    fn cpu(&self) -> Option<&dyn CpuKernel> {
        Some(self)
    }

    fn cuda(&self) -> Option<CudaText> {
        Some(CudaText {
            forward: "
    for (int i = thread; i < width_out_0; i += threads) out_0[i] = in_0[i] * in_2[i] + tanhf(in_1[i]);
    for (int i = thread; i < width_out_1; i += threads) {
      out_1[i] = 0;
      for (int j = 3 * i; j < 3 * i + 3; j++) out_1[i] += in_0[j] * in_1[j];
    }",
            backward: "
    for (int i = thread; i < width_out_1; i += threads) {
      for (int j = 3 * i; j < 3 * i + 3; j++) {
        float t = tanhf(in_1[j]);
        din_0[j] += dout_0[j] * in_2[j] + dout_1[i] * in_1[j];
        din_1[j] += dout_0[j] * (1 - t * t) + dout_1[i] * in_0[j];
        din_2[j] += dout_0[j] * in_0[j];
      }
    }",
        })
    }
}

/// For rows of parameters, where the host computes them.
impl CpuKernel for Threes {
    fn forward(&self, inputs: &[&[f32]], results: &mut [&mut [f32]]) {
        for i in 0..inputs[0].len() {
            let [x, y, w] = [0, 1, 2].map(|which| inputs[which][i % inputs[which].len()]);
            results[0][i] = x * w + y.tanh();
            if i % 3 == 0 {
                results[1][i / 3] = 0.0;
            }
            results[1][i / 3] += x * y;
        }
    }

    fn backward(&self, inputs: &[&[f32]], dresults: &[&[f32]], dinputs: &mut [&mut [f32]]) {
        for i in 0..inputs[0].len() {
            let at = [0, 1, 2].map(|which| i % inputs[which].len());
            let [x, y, w] = [0, 1, 2].map(|which| inputs[which][at[which]]);
            let [dout, dsum] = [dresults[0][i], dresults[1][i / 3]];
            dinputs[0][at[0]] += dout * w + dsum * y;
            dinputs[1][at[1]] += dout * (1.0 - y.tanh().powi(2)) + dsum * x;
            dinputs[2][at[2]] += dout * x;
        }
    }
}

/// Which rows the operation takes, and which of its results are read.
#[derive(Clone, Copy, Debug)]
enum Use {
    /// Tokens, tokens and a parameter.
    Tokens,
    /// The same tokens twice, and a row that is computed of a parameter.
    Twice,
    /// A row of each loop's own; of the results only the first.
    ByLoop,
    /// Of the results only the second.
    Sums,
    /// Parameters alone.
    Parameters,
    /// One parameter twice: the host computes that.
    OneParameter,
}

const USES: [Use; 6] = [Use::Tokens, Use::Twice, Use::ByLoop, Use::Sums, Use::Parameters, Use::OneParameter];

const WIDTH: usize = 9;

fn both<'t>([wide, sums]: [Value<'t>; 2], spread: &Linear) -> Value<'t> {
    wide + sums.linear(spread)
}

fn model(of: Use, last: usize) -> Graph {
    let trace = Trace::new();
    {
        let params = trace.params();
        let norm = Norm::layer(WIDTH, &mut params.scope("norm"));
        let input = trace.input(3).linear(&Linear::uniform(3, WIDTH, &mut params.scope("in")));
        let state = trace.carry(input.like(0.0));
        let x = (state.value().keep_last(last, 0.0) + input).norm(&norm);
        let row = |name: &str| trace.param(params.scope(name).get("row", [WIDTH], Init::Ones));
        let spread = Linear::uniform(WIDTH / 3, WIDTH, &mut params.scope("spread"));
        let next = match of {
            Use::Tokens => both(Value::custom(Threes, &[x, x.gelu(), row("w")]), &spread),
            Use::Twice => both(Value::custom(Threes, &[x, x, row("w").square()]), &spread),
            Use::ByLoop => {
                let table = params.scope("w").get("table", [3, WIDTH], Init::Ones);
                let at = At::new(input);
                let [wide, _] = Value::custom(Threes, &[x, x.tanh(), at.by_loop_or(table, Beyond::Clamp)]);
                wide
            }
            Use::Sums => {
                let [_, sums] = Value::custom(Threes, &[x, input, row("w")]);
                sums.linear(&spread)
            }
            Use::Parameters => {
                let [wide, sums] = Value::custom(Threes, &[row("a"), row("b"), row("c")]);
                let narrow = x.columns(0..3) * sums;
                x * wide + narrow.linear(&spread)
            }
            Use::OneParameter => {
                let a = row("a");
                let [wide, _] = Value::custom(Threes, &[a, a, row("c")]);
                x * wide
            }
        };
        let next = next.tanh();
        trace.next(state, next);
        trace.read(next.linear(&Linear::uniform(WIDTH, 1, &mut params.scope("out"))));
    }
    trace.finish().unwrap()
}

#[test]
fn operations_of_an_author_s_own() {
    fake::passes("custom::inner_custom", &[]);
}

#[test]
#[ignore = "run by the test above, on the fake GPU"]
fn inner_custom() {
    let dims = ModelDims { n_dims: 3, n_positions: 6, n_embd: WIDTH, n_layer: 1 };
    let mut rng = Rng::stream(1, "prompts", 0);
    let prompts = Prompts::pairs(rng.normals(3 * 5 * 3), rng.normals(3 * 5), [3, 5, 3]);
    let plan = LoopPlan { loops: 4, window: 3 };
    let asked = Asked { plan, loss_loops: 2, objective: Objective::SquaredError, threads: 1 };
    for of in USES {
        for last in [10, 4, 0] {
            let graph = model(of, last);
            assert_eq!(CudaModel::refusals(&graph), [""; 0], "{of:?}");
            let cuda = CudaModel::new(Arc::new(graph.clone()), dims, 0).unwrap();
            assert_eq!(cuda.can_be_held(), !matches!(of, Use::OneParameter), "{of:?}");
            let store = noisy_parameters(&graph, 2);
            check(&graph, dims, &store, &prompts, asked)
                .unwrap_or_else(|what| panic!("{what} in {of:?}, last {last}"));
        }
    }
}
