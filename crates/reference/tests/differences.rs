//! In 64 bits every gradient agrees with finite differences.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use common::{BLOCKS, INJECTORS, config, enlivened, prompts};
use looped_core::{LoopPlan, Objective, Rng, Tensor};
use looped_reference::{ReferenceModel, Step};

#[test]
fn gradients_agree_with_differences_to_seven_digits() {
    let injectors = [INJECTORS[1], INJECTORS[2], INJECTORS[7]];
    for (block, injector) in BLOCKS.iter().flat_map(|block| injectors.map(|injector| (*block, injector))) {
        let model = looped_core::ModelConfig { n_layer: 1, ..config(block, injector) };
        let model = ReferenceModel::new(model.graph().unwrap()).unwrap().in_f64();
        let prompts = prompts().slice(0..2);
        let plan = LoopPlan { loops: 2, window: 2 };
        let step = Step { plan, loss_loops: 2, objective: Objective::SquaredError };
        let store = enlivened(&model);
        let vars: Vec<candle_core::Var> = model
            .leaves(&store)
            .unwrap()
            .iter()
            .map(|leaf| leaf.to_dtype(candle_core::DType::F64).unwrap().detach())
            .map(|value| candle_core::Var::from_tensor(&value).unwrap())
            .collect();
        let values = || vars.iter().map(|var| var.as_tensor().clone()).collect::<Vec<Tensor>>();
        let gradients = model.loss(values(), &prompts, step).unwrap().backward().unwrap();
        for (i, info) in model.graph().params().iter().enumerate() {
            let direction = Rng::stream(5, &info.name, 0).normals(info.len());
            let direction: Vec<f64> = direction.iter().map(|number| f64::from(*number)).collect();
            let direction = Tensor::from_vec(direction, info.dims.as_slice(), vars[i].device()).unwrap();
            let gradient =
                gradients.get(vars[i].as_tensor()).unwrap_or_else(|| panic!("{} has none", info.name));
            let told: f64 = (gradient * &direction).unwrap().sum_all().unwrap().to_scalar().unwrap();
            let at = |distance: f64| -> f64 {
                let mut values = values();
                values[i] = (&values[i] + (&direction * distance).unwrap()).unwrap();
                model.loss(values, &prompts, step).unwrap().to_scalar().unwrap()
            };
            // Of four points, so that third derivatives don't matter.
            let length = 1e-4;
            let slope =
                (8.0 * (at(length) - at(-length)) - (at(2.0 * length) - at(-2.0 * length))) / (12.0 * length);
            assert!(
                (slope - told).abs() <= 1e-7 * slope.abs().max(1.0),
                "{} of {block} under {injector}: {told} along a direction in which the slope is {slope}",
                info.name
            );
        }
    }
}
