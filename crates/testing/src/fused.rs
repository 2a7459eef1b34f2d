//! The check of a block's fused form: it computes what the block's candle operations do.

use std::sync::Arc;

use candle_core::Device;
use looped_core::{
    BlockConfig, CandlePredictor, FirstN, Full, Injector, LastN, LoopPlan, LoopedModel, NoInjection,
    Objective, Operation, ParamStore, Predictor,
};
use looped_fused::{FusedModel, Precision, Step};

use crate::block::{SEED, enliven, looped, prompts};

/// On the fused engine a looped model of this block has the loss, every gradient and every prediction that it has on the
/// candle engine, within rounding: under each kind of injector, with loops before the gradient window, and with first
/// tokens that are computed once.
pub fn fused_agrees(block: &dyn BlockConfig, n_embd: usize) {
    let (add, multiply) = (Operation::Add, Operation::Multiply);
    let injectors: [(&str, Box<dyn Injector>); 5] = [
        ("full", Box::new(Full { operation: add })),
        ("full, multiply", Box::new(Full { operation: multiply })),
        ("last_n", Box::new(LastN { n: 5, operation: multiply })),
        ("first_n", Box::new(FirstN { n: 4, operation: add })),
        ("none", Box::new(NoInjection {})),
    ];
    for (name, injector) in injectors {
        agrees_under(name, block, n_embd, injector);
    }
}

fn agrees_under(name: &str, block: &dyn BlockConfig, n_embd: usize, injector: Box<dyn Injector>) {
    let config = Arc::new(looped(block, n_embd, injector));
    let mut store = ParamStore::new(SEED, &Device::Cpu);
    let candle = LoopedModel::build(Arc::clone(&config), &mut store).unwrap();
    enliven(&store);
    let fused = FusedModel::new(&config, 2).unwrap();
    let fused = fused.unwrap_or_else(|| panic!("the block has no fused form: its `fused` gives nothing"));
    let prompts = prompts();

    let (loops, window, loss_loops) = (4, 3, 2);
    let plan = LoopPlan { loops, window };
    let (xs, ys) = prompts.to_tensors(&Device::Cpu).unwrap();
    let predictions = candle.forward(&xs, &ys, plan).unwrap();
    let counted = predictions.narrow(0, window - loss_loops, loss_loops).unwrap();
    let loss = Objective::SquaredError.loss(&counted, &ys).unwrap();
    let gradients = loss.backward().unwrap();

    let step = Step { plan, loss_loops, objective: Objective::SquaredError, precision: Precision::F32 };
    let (fused_loss, fused_gradients) =
        fused.step(&store, &prompts, step).unwrap_or_else(|error| panic!("under {name}: {error}"));
    let loss = loss.to_scalar::<f32>().unwrap();
    assert_close(&format!("the loss under {name}"), &[fused_loss as f32], &[loss], 1e-5 * loss.abs());

    let expected: Vec<(&str, Vec<f32>)> = store
        .iter()
        .map(|(name, var)| {
            let gradient =
                gradients.get(var.as_tensor()).map_or_else(|| var.zeros_like().unwrap(), Clone::clone);
            (name, gradient.flatten_all().unwrap().to_vec1().unwrap())
        })
        .collect();
    // One far below the others is what is left of larger ones that cancel, and so is its error.
    let floor = 1e-2 * expected.iter().map(|(_, values)| largest(values)).fold(0.0, f32::max);
    for (parameter, expected) in expected {
        let what = format!("the gradient of {parameter} under {name}");
        assert_close(&what, &fused_gradients[parameter], &expected, 1e-4 * largest(&expected).max(floor));
    }

    let predictor = CandlePredictor { model: &candle, device: Device::Cpu };
    let expected = predictor.predict(&prompts, loops).unwrap().values;
    let actual = fused.predictor(&store, Precision::F32).predict(&prompts, loops).unwrap().values;
    assert_close(&format!("a prediction under {name}"), &actual, &expected, 1e-5 * largest(&expected));
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |largest, v| largest.max(v.abs()))
}

fn assert_close(what: &str, actual: &[f32], expected: &[f32], bound: f32) {
    assert_eq!(actual.len(), expected.len(), "{what} has another number of values");
    for (i, (a, e)) in actual.iter().zip(expected).enumerate() {
        assert!((a - e).abs() <= bound, "{what} is {a} at {i} on the fused engine, {e} on candle");
    }
}
