//! In 64 bits every gradient agrees with finite differences.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use candle_core::{DType, Var};
use common::{BLOCKS, INJECTORS, config, enlivened, prompts};
use looped_core::{Embed, Head, LoopPlan, ModelConfig, Noise, Objective, Prompts, Rng, Tensor, TokenLayout};
use looped_reference::{ReferenceModel, Step};

#[test]
fn gradients_agree_with_differences_to_seven_digits() {
    let injectors = [INJECTORS[1], INJECTORS[2], INJECTORS[7]];
    for (block, injector) in BLOCKS.iter().flat_map(|block| injectors.map(|injector| (*block, injector))) {
        let model = ModelConfig { n_layer: 1, ..config(block, injector) };
        agree(&model, &prompts().slice(0..2), Objective::SquaredError);
    }
}

#[test]
fn those_of_a_vocabulary_and_of_classes_do_too() {
    let model = ModelConfig {
        n_dims: 1,
        embed: Embed::Vocabulary { size: 4 },
        head: Head::Classes { count: 3 },
        ..config(BLOCKS[0], INJECTORS[1])
    };
    // Entry 3 is in no prompt: its gradient is 0.
    let (xs, ys) = (vec![0.0, 2.0, 2.0, 1.0, 0.0, 2.0], vec![f32::NAN, 2.0, 0.0, f32::NAN, 1.0, 1.0]);
    let prompts = Prompts {
        xs,
        ys,
        shown: None,
        prompts: 2,
        points: 3,
        n_dims: 1,
        layout: TokenLayout::Ids,
        noise: Noise::default(),
    };
    agree(&model, &prompts, Objective::Classes);
}

/// Along a direction drawn at random, the loss must change as each parameter's gradient says.
fn agree(model: &ModelConfig, prompts: &Prompts, objective: Objective) {
    let model = ReferenceModel::new(model.graph().unwrap()).unwrap().in_f64();
    let step = Step { plan: LoopPlan { loops: 2, window: 2 }, loss_loops: 2, objective };
    let store = enlivened(&model);
    let vars: Vec<Var> = model
        .leaves(&store)
        .unwrap()
        .iter()
        .map(|leaf| leaf.to_dtype(DType::F64).unwrap().detach())
        .map(|value| Var::from_tensor(&value).unwrap())
        .collect();
    let values = || vars.iter().map(|var| var.as_tensor().clone()).collect::<Vec<Tensor>>();
    let gradients = model.loss(values(), prompts, step).unwrap().backward().unwrap();
    for (i, info) in model.graph().params().iter().enumerate() {
        let direction = Rng::stream(5, &info.name, 0).normals(info.len());
        let direction: Vec<f64> = direction.iter().map(|number| f64::from(*number)).collect();
        let direction = Tensor::from_vec(direction, info.dims.as_slice(), vars[i].device()).unwrap();
        let gradient = gradients.get(vars[i].as_tensor()).unwrap_or_else(|| panic!("{} has none", info.name));
        let told: f64 = (gradient * &direction).unwrap().sum_all().unwrap().to_scalar().unwrap();
        let at = |distance: f64| -> f64 {
            let mut values = values();
            values[i] = (&values[i] + (&direction * distance).unwrap()).unwrap();
            model.loss(values, prompts, step).unwrap().to_scalar().unwrap()
        };
        // Of four points, so that third derivatives don't matter.
        let length = 1e-4;
        let slope =
            (8.0 * (at(length) - at(-length)) - (at(2.0 * length) - at(-2.0 * length))) / (12.0 * length);
        assert!(
            (slope - told).abs() <= 1e-7 * slope.abs().max(1.0),
            "{}: {told} along a direction in which the slope is {slope}",
            info.name
        );
    }
}
