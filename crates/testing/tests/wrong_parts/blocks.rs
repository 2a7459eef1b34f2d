//! Blocks with a mistake.

use looped_core::graph::{At, Block, Heads, Init, Linear, Norm, Param, Params, Trace, Value};
use looped_core::{BlockConfig, Device, ModelDims, ParamStore, Problems, Prompts, Rng, typetag};
use looped_testing::{block_gives, rows_hold, sound};
use serde::{Deserialize, Serialize};

use crate::fails;
use crate::operations::{Lying, Squares};

const WIDTH: usize = 12;

/// What is wrong with [`Wrong`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Fault {
    None,
    StopsAGradientOnPurpose,
    SeesTheLastTokenInSecret,
    SeesAllTokens,
    SaysThatItSeesAllTokens,
    IsRandom,
    CountsItsCalls,
    CutsTheGradient,
    IgnoresItsWeight,
    AsksForItsWeightTwice,
    HasAnotherKernel,
    HasAnotherDerivative,
    IsWiderThanItTakes,
    DividesByZero,
    NeedsAnotherWidth,
}

/// A norm, attention, and a weight for each number, somewhere with a mistake.
#[derive(Debug, Serialize, Deserialize)]
struct Wrong {
    fault: Fault,
}

#[typetag::serde(name = "wrong_block")]
impl BlockConfig for Wrong {
    fn validate(&self, dims: &ModelDims, problems: &mut Problems) {
        problems.require(self.fault != Fault::NeedsAnotherWidth, "fault", || {
            format!("needs a width that isn't {}", dims.n_embd)
        });
    }

    fn build(&self, dims: &ModelDims, params: &mut Params<'_>) -> Box<dyn Block> {
        let width = dims.n_embd;
        let norm = Norm::layer(width, &mut params.scope("norm"));
        let project = Linear::uniform(width, 3 * width, &mut params.scope("project"));
        let weight = params.get("weight", [width], Init::Ones);
        if self.fault == Fault::AsksForItsWeightTwice {
            params.get("weight", [width], Init::Ones);
        }
        Box::new(Layers { norm, project, weight, fault: self.fault })
    }

    fn is_causal(&self) -> bool {
        self.fault != Fault::SaysThatItSeesAllTokens
    }
}

struct Layers {
    norm: Norm,
    project: Linear,
    weight: Param,
    fault: Fault,
}

impl Block for Layers {
    fn forward<'t>(&self, x: Value<'t>, at: At<'t>) -> Value<'t> {
        let heads = if self.fault == Fault::SeesAllTokens { Heads::all(1) } else { Heads::causal(1) };
        let mixed = x.norm(&self.norm).linear(&self.project).attention(heads);
        let weight = at.param(self.weight);
        let weighted = mixed * weight;
        x + match self.fault {
            Fault::StopsAGradientOnPurpose => weighted + x.stop_gradient(),
            Fault::SeesTheLastTokenInSecret => lying(Lying::SeesTheLast, weighted),
            Fault::CountsItsCalls => lying(Lying::counting(), weighted),
            Fault::IsRandom => weighted.candle("dropout", &[], |all| &all[0] * all[0].rand_like(0.0, 1.0)?),
            Fault::CutsTheGradient => {
                mixed.candle("detached", &[weight], |all| all[0].broadcast_mul(&all[1].detach()))
            }
            Fault::IgnoresItsWeight => mixed + weighted * 0.0,
            Fault::HasAnotherKernel => mixed * squares(false, weight),
            Fault::HasAnotherDerivative => mixed * squares(true, weight),
            Fault::IsWiderThanItTakes => Value::concat(&[mixed, weighted]),
            Fault::DividesByZero => weighted / x.like(0.0),
            _ => weighted,
        }
    }
}

fn lying(op: Lying, x: Value<'_>) -> Value<'_> {
    let [y] = Value::custom(op, &[x]);
    y
}

fn squares(forward_is_right: bool, x: Value<'_>) -> Value<'_> {
    let [y] = Value::custom(Squares { forward_is_right }, &[x]);
    y
}

#[test]
fn a_sound_block_passes_and_so_does_one_that_stops_a_gradient_on_purpose() {
    sound(&Wrong { fault: Fault::None }, WIDTH);
    sound(&Wrong { fault: Fault::StopsAGradientOnPurpose }, WIDTH);
}

#[track_caller]
fn refused(fault: Fault, parts: &[&str]) {
    fails(|| sound(&Wrong { fault }, WIDTH), parts);
}

#[test]
fn a_token_that_is_seen_and_should_not_be_is_named() {
    refused(
        Fault::SeesTheLastTokenInSecret,
        &["reach: the state: token 0 of prompt 2 moves in loop 1 when token 3 of prompt 2 does", "`full`"],
    );
    refused(Fault::SeesAllTokens, &["predictions see later points", "`is_causal`"]);
    refused(Fault::SaysThatItSeesAllTokens, &["the block sees no later points", "`is_causal`"]);
}

#[test]
fn numbers_that_change_from_call_to_call_are_found() {
    refused(Fault::IsRandom, &["computed twice, it gives other numbers"]);
    refused(Fault::CountsItsCalls, &["computed twice, it gives other numbers"]);
}

#[test]
fn a_gradient_that_is_cut_or_none_is_found_under_its_name() {
    let weight = "_backbone.transformer.h.0.weight: its gradient is 0";
    refused(Fault::CutsTheGradient, &[weight, "in which the loss has the slope"]);
    refused(Fault::IgnoresItsWeight, &[weight, "the loss doesn't depend on it"]);
}

#[test]
fn a_kernel_that_disagrees_with_its_meaning_is_found() {
    refused(Fault::HasAnotherKernel, &["of the CPU engine is", "away from that of the reference engine"]);
    refused(
        Fault::HasAnotherDerivative,
        &["the gradient of _backbone.transformer.h.0.weight of the CPU engine is"],
    );
}

#[test]
fn what_cannot_be_recorded_or_computed_is_named_with_its_place() {
    let place = "blocks.rs:";
    refused(Fault::IsWiderThanItTakes, &["h.0: add of (tokens, 12) and (tokens, 24)", place]);
    refused(Fault::AsksForItsWeightTwice, &["h.0.weight is asked for twice", place]);
    refused(Fault::DividesByZero, &["h.0: divide: in loop 1 it gives numbers that aren't finite", place]);
    refused(Fault::NeedsAnotherWidth, &["block.fault: needs a width that isn't 12"]);
}

/// On a graph of one's own: two prompts that are looped over in turn get the same numbers, and each loop others.
#[test]
fn rows_that_change_in_spite_of_what_is_said_are_named() {
    let trace = Trace::new();
    let x = trace.input(3);
    let state = trace.carry(x);
    let counted = lying(Lying::counting(), state.value().keep_last(2, 1.0));
    trace.next(state, counted + x);
    trace.read(counted.columns(0..1));
    let mut rng = Rng::stream(1, "prompts", 0);
    let prompts = Prompts::pairs(rng.normals(3 * 3), rng.normals(3), [1, 3, 3]);
    let graph = trace.finish().unwrap();
    let store = ParamStore::new(&graph, 1, &Device::Cpu).unwrap();
    let wrong = rows_hold(&graph, &store, &prompts, 3, 5).unwrap_err();
    let expected = "rows that never change: the state: token 0 changes in loop 2, and the first 4 of 6 are said to be the same";
    assert!(wrong.starts_with(expected), "{wrong}");
}

#[test]
fn the_numbers_of_a_block_are_those_of_its_formula() {
    // Each token attends to itself alone: there is but one.
    let given = block_gives(&Wrong { fault: Fault::None }, &[[1.0, -1.0]], |name, i| match name {
        "weight" => [10.0, 100.0][i],
        "norm.weight" => 1.0,
        // Its values are its rows 4 and 5; rows of 2 columns.
        "project.weight" => f64::from(u8::from(i == 8 || i == 11)),
        "project.bias" => 0.5,
        _ => 0.0,
    });
    let normed = 1.0 / (1.0f64 + 1e-5).sqrt();
    let expected = [1.0 + 10.0 * (normed + 0.5), -1.0 + 100.0 * (0.5 - normed)];
    for (given, expected) in given[0].iter().zip(expected) {
        assert!((given - expected).abs() < 1e-12, "{given} {expected}");
    }
}
