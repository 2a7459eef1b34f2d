//! What a mistake in a block's code is answered with.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use common::{INJECTORS, config, enlivened, prompts};
use looped_core::graph::{At, Linear, Rows, Shape, Value, ops::Custom};
use looped_core::{Block, BlockConfig, ModelConfig, ModelDims, Params, Tensor, schemars, typetag};
use looped_reference::ReferenceModel;
use serde::{Deserialize, Serialize};

/// What its author got wrong.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Mistake {
    None,
    LayerOfAnotherWidth,
    Widths,
    OutputOfAnotherWidth,
    NameTwice,
    CandleShape,
    CandleError,
    CustomShape,
    NotFinite,
}

/// A block with a mistake.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
struct Wrong {
    mistake: Mistake,
}

#[typetag::serde(name = "wrong")]
impl BlockConfig for Wrong {
    fn build(&self, dims: &ModelDims, params: &mut Params<'_>) -> Box<dyn Block> {
        let width = dims.n_embd;
        let inputs = if matches!(self.mistake, Mistake::LayerOfAnotherWidth) { width + 1 } else { width };
        let layer = Linear::normal(inputs, 2 * width, 0.02, &mut params.scope("proj"));
        if matches!(self.mistake, Mistake::NameTwice) {
            Linear::normal(inputs, 2 * width, 0.02, &mut params.scope("proj"));
        }
        Box::new(WrongBlock { mistake: self.mistake, layer })
    }
}

looped_core::register!(Block, "wrong", Wrong);

struct WrongBlock {
    mistake: Mistake,
    layer: Linear,
}

/// Says that it halves its rows, and doesn't.
#[derive(Debug)]
struct Halving;

impl Custom for Halving {
    fn name(&self) -> String {
        "halving".to_owned()
    }

    fn shapes(&self, inputs: &[Shape]) -> std::result::Result<Vec<Shape>, String> {
        assert_eq!(inputs[0].rows, Rows::Tokens);
        Ok(vec![inputs[0].with_width(inputs[0].width / 2)])
    }

    fn meaning(&self, inputs: &[Tensor]) -> candle_core::Result<Vec<Tensor>> {
        Ok(inputs.to_vec())
    }
}

impl Block for WrongBlock {
    fn forward<'t>(&self, x: Value<'t>, _: At<'t>) -> Value<'t> {
        let wide = x.linear(&self.layer);
        match self.mistake {
            Mistake::Widths => wide + x,
            Mistake::OutputOfAnotherWidth => wide,
            Mistake::CandleShape => x.candle("sum", &[], |t| t[0].sum_keepdim(2)),
            Mistake::CandleError => x.candle("matrix", &[wide], |t| t[0].matmul(&t[1])),
            Mistake::CustomShape => {
                let [half] = Value::custom(Halving, &[x]);
                x + Value::concat(&[half, half])
            }
            Mistake::NotFinite => x + (x.square() * 1e4).exp(),
            _ => wide.columns(0..x.width()).probe("half") + x,
        }
    }
}

fn with(mistake: &str) -> ModelConfig {
    config(&format!(r#"{{"type":"wrong","mistake":"{mistake}"}}"#), INJECTORS[0])
}

/// What recording it says, or the first loop if that went well; without the line of the code.
fn told(mistake: &str) -> String {
    let error = match with(mistake).graph() {
        Err(error) => error,
        Ok(graph) => {
            let model = ReferenceModel::new(graph).unwrap();
            let mut looping = model.looping(&enlivened(&model), &prompts(), 1).unwrap();
            let Err(error) = looping.advance() else { panic!("{mistake}: nothing is wrong") };
            error
        }
    };
    let message = error.to_string();
    let (what, place) = message.split_once("\n  at ").unwrap_or_else(|| panic!("no place in {message}"));
    assert!(place.contains(".rs:"), "{place}");
    what.to_owned()
}

#[test]
fn part_operation_parameter_and_shapes_are_named() {
    assert_eq!(
        told("layer_of_another_width"),
        "h.0: linear `_backbone.transformer.h.0.proj` of (tokens, 10): it takes rows of 11"
    );
    assert_eq!(told("widths"), "h.0: add of (tokens, 20) and (tokens, 10): the widths differ");
    assert_eq!(
        told("output_of_another_width"),
        "h.1: linear `_backbone.transformer.h.1.proj` of (tokens, 20): it takes rows of 10"
    );
    assert_eq!(
        told("name_twice"),
        "h.0: _backbone.transformer.h.0.proj.weight is asked for twice, so two layers would share it; give each layer a scope of \
         its own, or ask by Params::shared if they are to share it"
    );
}

#[test]
fn code_that_fails_when_it_runs_is_named_as_well() {
    assert_eq!(
        told("candle_shape"),
        "h.0: candle `sum`: its results have the shapes [[3, 10, 1]], where it said [[3, 10, 10]]"
    );
    assert_eq!(
        told("custom_shape"),
        "h.0: halving: its results have the shapes [[3, 10, 10]], where it said [[3, 10, 5]]"
    );
    let message = told("candle_error");
    assert!(message.starts_with("h.0: candle `matrix`: "), "{message}");
}

#[test]
fn the_first_numbers_that_are_not_finite_are_found() {
    let found = |mistake: &str| {
        let model = ReferenceModel::new(with(mistake).graph().unwrap()).unwrap();
        model.first_not_finite(&enlivened(&model), &prompts(), 3).unwrap().map(|found| found.to_string())
    };
    assert_eq!(found("none"), None);
    let message = found("not_finite").unwrap();
    assert!(
        message.starts_with("h.0: exp: in loop 1 it gives numbers that aren't finite\n  at "),
        "{message}"
    );
}

#[test]
fn a_probed_value_is_given_by_its_name() {
    let model = ReferenceModel::new(with("none").graph().unwrap()).unwrap();
    let store = enlivened(&model);
    let mut looping = model.looping(&store, &prompts(), 1).unwrap();
    assert!(looping.probed("half").is_none());
    looping.advance().unwrap();
    assert_eq!(looping.probed("half").unwrap().dims(), [3, 10, 10]);
    assert!(looping.probed("whole").is_none());
}
