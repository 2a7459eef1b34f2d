//! Injectors with a mistake.

use looped_core::graph::{At, Init, Inject, Param, Params, Value};
use looped_core::{Full, Injector, LastN, ModelDims, NoInjection, Operation, typetag};
use looped_testing::{injector_gives, sound_injector};
use serde::{Deserialize, Serialize};

use crate::fails;
use crate::operations::Lying;

/// What is wrong with [`Wrong`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Fault {
    None,
    SeesTheLastTokenInSecret,
    SeesTheTokensAfter,
    IgnoresTheState,
    IgnoresItsWeight,
    CutsTheGradient,
    StartsFromAnotherWidth,
    GivesAnotherWidth,
    ForgetsThePositions,
    AddsPositionsTwice,
}

/// x + w z, from Z = 0.
#[derive(Debug, Serialize, Deserialize)]
struct Wrong {
    fault: Fault,
}

#[typetag::serde(name = "wrong_injector")]
impl Injector for Wrong {
    fn build(&self, dims: &ModelDims, params: &mut Params<'_>) -> Box<dyn Inject> {
        Box::new(Weighted { weight: params.get("weight", [dims.n_embd], Init::Ones), fault: self.fault })
    }
}

struct Weighted {
    weight: Param,
    fault: Fault,
}

impl Inject for Weighted {
    fn initial<'t>(&self, at: At<'t>) -> Value<'t> {
        let nothing = at.input.like(0.0);
        if self.fault == Fault::StartsFromAnotherWidth { Value::concat(&[nothing, nothing]) } else { nothing }
    }

    fn inject<'t>(&self, state: Value<'t>, at: At<'t>) -> Value<'t> {
        let weight = at.param(self.weight);
        let met = at.input + state * weight;
        match self.fault {
            Fault::SeesTheLastTokenInSecret => {
                let [met] = Value::custom(Lying::SeesTheLast, &[met]);
                met
            }
            Fault::SeesTheTokensAfter => met.candle("turned", &[], |all| {
                let last = all[0].dim(1)? - 1;
                all[0].broadcast_add(&all[0].narrow(1, last, 1)?)
            }),
            Fault::IgnoresTheState => at.input * weight,
            Fault::IgnoresItsWeight => at.input + state,
            Fault::CutsTheGradient => at
                .input
                .candle("cut", &[state, weight], |all| &all[0] + all[1].detach().broadcast_mul(&all[2])?),
            Fault::GivesAnotherWidth => Value::concat(&[met, at.input]),
            _ => met,
        }
    }

    fn placed<'t>(&self, state: Value<'t>, at: At<'t>, positions: Param) -> Value<'t> {
        let met = self.inject(state, at);
        match self.fault {
            Fault::ForgetsThePositions => met,
            Fault::AddsPositionsTwice => met.positions(positions).positions(positions),
            _ => met.positions(positions),
        }
    }
}

#[test]
fn the_built_in_injectors_and_one_with_a_weight_pass() {
    let (add, multiply) = (Operation::Add, Operation::Multiply);
    sound_injector(&Full { operation: add });
    sound_injector(&LastN { n: 5, operation: multiply });
    sound_injector(&LastN { n: -1, operation: add });
    sound_injector(&NoInjection {});
    sound_injector(&Wrong { fault: Fault::None });
}

#[track_caller]
fn refused(fault: Fault, parts: &[&str]) {
    fails(|| sound_injector(&Wrong { fault }), parts);
}

#[test]
fn a_token_that_is_seen_and_should_not_be_is_named() {
    refused(
        Fault::SeesTheLastTokenInSecret,
        &["reach: the state: token 0 of prompt 2 moves in loop 2 when token 3 of prompt 2 does"],
    );
    refused(Fault::SeesTheTokensAfter, &["predictions see later points"]);
}

#[test]
fn a_state_or_a_weight_that_nothing_depends_on_is_named() {
    refused(Fault::IgnoresTheState, &["the state after a loop doesn't depend on the state before it"]);
    refused(Fault::IgnoresItsWeight, &["_injector.weight: its gradient is 0", "doesn't depend on it"]);
}

#[test]
fn a_cut_gradient_is_found() {
    refused(Fault::CutsTheGradient, &["its gradient is ", "in which the loss has the slope"]);
}

#[test]
fn widths_that_do_not_fit_are_named_with_their_place() {
    refused(
        Fault::StartsFromAnotherWidth,
        &["injector: multiply of (tokens, 20) and (1, 10)", "injectors.rs:"],
    );
    refused(Fault::GivesAnotherWidth, &["(tokens, 20)", "it takes", "injectors.rs:"]);
}

#[test]
fn positions_that_change_what_is_injected_are_found() {
    refused(Fault::ForgetsThePositions, &["doesn't depend on it", "wpe.weight"]);
    refused(
        Fault::AddsPositionsTwice,
        &["`placed` gives at token 0 what is", "away from what `inject` gives"],
    );
}

#[test]
fn the_numbers_of_an_injector_are_those_of_its_formula() {
    let (state, input) = ([[1.0, 2.0], [3.0, 4.0]], [[10.0, 20.0], [30.0, 40.0]]);
    let given = injector_gives(&Wrong { fault: Fault::None }, &state, &input, |name, i| {
        assert_eq!(name, "weight");
        [2.0, -1.0][i]
    });
    assert_eq!(given, [[12.0, 18.0], [36.0, 36.0]]);
}
