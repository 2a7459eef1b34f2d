//! What is computed of parameters alone, once a step, has its value and its gradient on the CPU engine.

use looped_core::graph::{At, Value};
use looped_core::{Block, BlockConfig, Init, ModelDims, Params, typetag};
use looped_testing::sound;
use serde::{Deserialize, Serialize};

/// Rates that are positive and gates between 0 and 1, whatever their parameters are; a state fades at such a rate.
#[derive(Debug, Serialize, Deserialize)]
struct Fading {}

#[typetag::serde(name = "fading")]
impl BlockConfig for Fading {
    fn build(&self, dims: &ModelDims, params: &mut Params<'_>) -> Box<dyn Block> {
        let width = dims.n_embd;
        let mut get = |name, count: usize| params.get(name, [count], Init::Normal { std: 0.5 });
        let [rates, gates] = [get("rates", 2 * width), get("gates", 2 * width)];
        let [gain, skip] = [get("gain", 2 * width), get("skip", width)];
        Box::new(Fade { rates, gates, gain, skip })
    }
}

struct Fade {
    rates: looped_core::graph::Param,
    gates: looped_core::graph::Param,
    gain: looped_core::graph::Param,
    skip: looped_core::graph::Param,
}

impl Block for Fade {
    fn forward<'t>(&self, x: Value<'t>, at: At<'t>) -> Value<'t> {
        let decay = (-at.param(self.rates).exp()).exp();
        // Each of these reads a row twice.
        let (gain, [open, shut]) = (at.param(self.gain).square(), at.param(self.gates).split());
        let gate = (open * 2.0).sigmoid() - shut.tanh() * open / (shut.square() + 1.0);
        let faded = x.scan(decay, gain, at.param(self.gain), at.param(self.skip));
        x + faded.tanh() * gate
    }
}

#[test]
fn elementwise_code_and_columns_of_parameters_agree_with_the_reference_engine() {
    sound(&Fading {}, 7);
}

/// What a state takes in is also what is read of it.
#[derive(Debug, Serialize, Deserialize)]
struct Mirrored {}

#[typetag::serde(name = "mirrored")]
impl BlockConfig for Mirrored {
    fn build(&self, dims: &ModelDims, params: &mut Params<'_>) -> Box<dyn Block> {
        let mut get = |name| params.get(name, [dims.n_embd], Init::Normal { std: 0.5 });
        Box::new(Mirror { decay: get("decay"), gain: get("gain") })
    }
}

struct Mirror {
    decay: looped_core::graph::Param,
    gain: looped_core::graph::Param,
}

impl Block for Mirror {
    fn forward<'t>(&self, x: Value<'t>, at: At<'t>) -> Value<'t> {
        let [decay, gain] = [at.param(self.decay).sigmoid(), at.param(self.gain)];
        x + x.scan(decay, gain, gain, gain).tanh()
    }
}

#[test]
fn one_parameter_can_be_several_of_a_scans_numbers() {
    sound(&Mirrored {}, 7);
}
