//! Checks of blocks: gradients, causality, splitting at a prefix.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use looped_core::{
    Block, BlockConfig, Full, Injector, LastN, LoopPlan, LoopedModel, ModelConfig, ModelDims, Objective,
    Operation, ParamStore, Prompts, Rng,
};

/// The parameters and inputs of a check are drawn from this seed.
pub(crate) const SEED: u64 = 11;

fn dims(n_embd: usize) -> ModelDims {
    ModelDims { n_dims: 3, n_positions: 6, n_embd, n_layer: 1 }
}

fn build(config: &dyn BlockConfig, n_embd: usize) -> Box<dyn Block> {
    let mut store = ParamStore::new(SEED, &Device::Cpu);
    config.build(&dims(n_embd), &mut store.trainable()).unwrap();
    enliven(&store);
    config.build(&dims(n_embd), &mut store.frozen()).unwrap()
}

/// A looped model of one such block.
pub(crate) fn looped(block: &dyn BlockConfig, n_embd: usize, injector: Box<dyn Injector>) -> ModelConfig {
    // A block's config is its table, and so can be read again.
    let block = serde_json::from_value(serde_json::to_value(block).unwrap())
        .unwrap_or_else(|error| panic!("the block's own table can't be read: {error}"));
    ModelConfig { n_dims: 3, n_positions: 6, n_embd, n_layer: 1, pretrained_path: None, block, injector }
}

/// Three prompts of five points.
pub(crate) fn prompts() -> Prompts {
    let mut rng = Rng::stream(SEED, "prompts", 0);
    Prompts { xs: rng.normals(3 * 5 * 3), ys: rng.normals(3 * 5), prompts: 3, points: 5, n_dims: 3 }
}

/// Adds noise to every parameter: at their start biases are 0 and weights small, which would hide mistakes.
pub(crate) fn enliven(store: &ParamStore) {
    for (name, var) in store.iter() {
        let noise = Rng::stream(SEED, &format!("noise {name}"), 0).normals(var.elem_count());
        let noise = Tensor::from_vec(noise, var.shape(), &Device::Cpu).unwrap();
        var.set(&(var.as_tensor() + (noise * 0.2).unwrap()).unwrap()).unwrap();
    }
}

fn tokens(batch: usize, count: usize, n_embd: usize) -> Tensor {
    let values = Rng::stream(SEED, "tokens", 0).normals(batch * count * n_embd);
    Tensor::from_vec(values, (batch, count, n_embd), &Device::Cpu).unwrap()
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f32 {
    (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar().unwrap()
}

/// The output at a token doesn't change when later tokens do, and the shape is kept.
pub fn block_is_causal(config: &dyn BlockConfig, n_embd: usize) {
    let block = build(config, n_embd);
    let x = tokens(2, 7, n_embd);
    let whole = block.forward(&x).unwrap();
    assert_eq!(whole.dims(), x.dims(), "the block changes the shape");
    for count in 1..7 {
        let first = block.forward(&x.narrow(1, 0, count).unwrap()).unwrap();
        let difference = largest_difference(&whole.narrow(1, 0, count).unwrap(), &first);
        assert!(
            difference < 1e-5,
            "the first {count} tokens' outputs see later tokens: they differ by {difference}"
        );
    }
}

/// A prefix and the tokens after it give what the whole gives.
///
/// Fails for a block without [`Block::prefill`]: such a block works, with every loop over all tokens, and leaves this check
/// out.
pub fn block_splits(config: &dyn BlockConfig, n_embd: usize) {
    let block = build(config, n_embd);
    let x = tokens(2, 7, n_embd);
    let whole = block.forward(&x).unwrap();
    for prefix in 1..7 {
        let split = block.prefill(&x.narrow(1, 0, prefix).unwrap()).unwrap();
        let (first, memory) = split.unwrap_or_else(|| {
            panic!(
                "the block can't be split: its `prefill` gives nothing; leave this check out if that is meant"
            )
        });
        let rest = block.extend(&x.narrow(1, prefix, 7 - prefix).unwrap(), &memory).unwrap();
        let difference = largest_difference(&whole, &Tensor::cat(&[first, rest], 1).unwrap());
        assert!(difference < 1e-5, "split after {prefix} tokens, the outputs differ by {difference}");
    }
}

/// Every parameter of a looped model of this block has a non-zero gradient that agrees with finite differences: with every
/// token in every loop, and with the first tokens computed once, so that the gradient passes through what
/// [`Block::prefill`] leaves for the later ones.
///
/// The gradient is checked along itself, for each parameter tensor: there the loss must change by the gradient's norm,
/// whatever cuts or scales the graph. Exempt is a gradient that is zero by nature, named by `vanishing` (a parameter's name
/// ends with it).
pub fn gradients_are_true(block: &dyn BlockConfig, n_embd: usize, vanishing: &[&str]) {
    // Of 10 tokens, 6 are the same in every loop.
    let operation = Operation::Add;
    let injectors: [(&str, Box<dyn Injector>); 2] =
        [("full", Box::new(Full { operation })), ("last_n", Box::new(LastN { n: 4, operation }))];
    for (name, injector) in injectors {
        gradients_under(name, looped(block, n_embd, injector), vanishing);
    }
}

fn gradients_under(injector: &str, config: ModelConfig, vanishing: &[&str]) {
    let mut store = ParamStore::new(SEED, &Device::Cpu);
    let model = LoopedModel::build(Arc::new(config), &mut store).unwrap();
    enliven(&store);
    let prompts = prompts();
    let (xs, ys) = prompts.to_tensors(&Device::Cpu).unwrap();
    let plan = LoopPlan { loops: 2, window: 2 };
    let loss = || Objective::SquaredError.loss(&model.forward(&xs, &ys, plan).unwrap(), &ys).unwrap();
    let value = || f64::from(loss().to_scalar::<f32>().unwrap());
    let gradients = loss().backward().unwrap();
    for (name, var) in store.iter() {
        if vanishing.iter().any(|end| name.ends_with(end)) {
            continue;
        }
        let gradient = gradients
            .get(var.as_tensor())
            .unwrap_or_else(|| panic!("{name} gets no gradient, under {injector}"));
        let norm =
            f64::from(gradient.sqr().unwrap().sum_all().unwrap().sqrt().unwrap().to_scalar::<f32>().unwrap());
        assert!(norm > 1e-6, "{name}: its gradient is zero (norm {norm}), under {injector}");
        let start = var.as_tensor().copy().unwrap();
        // Large enough to rise above f32 rounding, small enough for the third derivative not to matter.
        let length = 3e-3;
        let at = |distance: f64| {
            var.set(&(&start + (gradient * (distance / norm)).unwrap()).unwrap()).unwrap();
            value()
        };
        let slope = (at(length) - at(-length)) / (2.0 * length);
        var.set(&start).unwrap();
        let tolerance = 0.01 * norm + 2e-4;
        assert!(
            (slope - norm).abs() < tolerance,
            "{name}: the loss changes by {slope} along its gradient of norm {norm}, under {injector}"
        );
    }
}
