//! An LSTM layer over the tokens.

use looped_core::{Init, ModelDims};
use looped_graph::{At, Block, Linear, Params, Value};

pub(crate) struct Lstm {
    input: Linear,
    recurrent: Linear,
}

impl Lstm {
    /// Parameters under the names of PyTorch's `nn.LSTM`.
    pub(crate) fn new(dims: &ModelDims, params: &mut Params<'_>) -> Self {
        let width = dims.n_embd;
        let init = Init::Uniform { bound: 1.0 / (width as f64).sqrt() };
        let mut layer = |of: &str| {
            let weight = params.get(&format!("weight_{of}_l0"), [4 * width, width], init);
            let bias = params.get(&format!("bias_{of}_l0"), [4 * width], init);
            Linear::of(weight, Some(bias), width, 4 * width)
        };
        Self { input: layer("ih"), recurrent: layer("hh") }
    }
}

impl Block for Lstm {
    fn forward<'t>(&self, x: Value<'t>, _: At<'t>) -> Value<'t> {
        let [hidden, _] = x.recur([x.width(); 2], |x, [hidden, cell]| {
            let gates = x.linear(&self.input) + hidden.linear(&self.recurrent);
            let [input, forget, new, output] = gates.split();
            let cell = forget.sigmoid() * cell + input.sigmoid() * new.tanh();
            [output.sigmoid() * cell.tanh(), cell]
        });
        hidden
    }
}
