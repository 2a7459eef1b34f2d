//! The checks of blocks and injectors: on the reference engine, in 64 bits, and of the CPU engine beside it.

mod engines;
mod rows;

use candle_core::{DType, Device, Tensor, Var};
use looped_core::graph::{Wire, invariant_rows};
use looped_core::{
    BlockConfig, Full, Injector, LastN, LoopPlan, ModelConfig, NoInjection, Objective, Operation, ParamStore,
    Prompts, Rng,
};
use looped_reference::{ReferenceModel, Step};

use crate::model::{SEED, looped, noisy_parameters, prompts};

pub use engines::{Asked, engines_agree};
pub use rows::rows_hold;

const STEP: Step =
    Step { plan: LoopPlan { loops: 3, window: 3 }, loss_loops: 2, objective: Objective::SquaredError };

/// A block can be trained and does what it says, under each kind of injector: every parameter has a gradient that agrees with
/// finite differences to seven digits; a causal block's predictions don't change with later points, and the others' do; rows that pass for
/// the same in every loop are; no row moves with one that it can't see; and the CPU engine computes the same.
pub fn sound(block: &dyn BlockConfig, n_embd: usize) {
    let operation = Operation::Add;
    let injectors: [Box<dyn Injector>; 3] =
        [Box::new(Full { operation }), Box::new(LastN { n: 3, operation }), Box::new(NoInjection {})];
    for injector in injectors {
        sound_model(looped(block, n_embd, injector));
    }
}

/// An injector can be trained and does what it says: see [`sound`]. `block` is what it is tried with.
pub fn sound_injector(injector: Box<dyn Injector>, block: &dyn BlockConfig, n_embd: usize) {
    sound_model(looped(block, n_embd, injector));
}

fn sound_model(config: ModelConfig) {
    let tag = config.injector.typetag_name();
    let graph = config.graph().unwrap_or_else(|error| panic!("under {tag}: {error}"));
    let store = noisy_parameters(&graph, SEED);
    let model = ReferenceModel::new(graph).unwrap().in_f64();
    gradients_are_true(tag, &model, &store);
    later_points(tag, &model, &store, config.block.is_causal());
    invariant_rows_are(tag, &model, &store);
    let must = |result: Result<(), String>| result.unwrap_or_else(|what| panic!("{what}, under {tag}"));
    for changed in [0, 3, 2 * prompts().points - 1] {
        must(rows_hold(model.graph(), &store, &prompts(), 3, changed));
    }
    for (loops, window, loss_loops) in [(2, 2, 2), (4, 3, 2)] {
        let plan = LoopPlan { loops, window };
        let asked = Asked { plan, loss_loops, objective: Objective::SquaredError, threads: 2 };
        must(engines_agree(model.graph(), config.dims(), &store, &prompts(), asked));
    }
}

fn gradients_are_true(tag: &str, model: &ReferenceModel, store: &ParamStore) {
    let prompts = prompts().slice(0..2);
    let var = |name: &str| Var::from_tensor(&store.get(name).unwrap().to_dtype(DType::F64).unwrap()).unwrap();
    let vars: Vec<Var> = model.graph().params().iter().map(|info| var(&info.name)).collect();
    let values = || vars.iter().map(|var| var.as_tensor().clone()).collect::<Vec<Tensor>>();
    let loss = |values: Vec<Tensor>| {
        model.loss(values, &prompts, STEP).unwrap_or_else(|error| panic!("under {tag}: {error}"))
    };
    let gradients = loss(values()).backward().unwrap();
    for (i, (info, var)) in model.graph().params().iter().zip(&vars).enumerate() {
        let name = &info.name;
        let gradient =
            gradients.get(var.as_tensor()).unwrap_or_else(|| panic!("{name} gets no gradient, under {tag}"));
        let direction: Vec<f64> =
            Rng::stream(SEED, name, 0).normals(info.len()).into_iter().map(f64::from).collect();
        let direction = Tensor::from_vec(direction, info.dims.as_slice(), &Device::Cpu).unwrap();
        let told: f64 = (gradient * &direction).unwrap().sum_all().unwrap().to_scalar().unwrap();
        let at = |distance: f64| -> f64 {
            let mut values = values();
            values[i] = (&values[i] + (&direction * distance).unwrap()).unwrap();
            loss(values).to_scalar().unwrap()
        };
        // Of four points, so that third derivatives don't matter.
        let length = 1e-4;
        let slope =
            (8.0 * (at(length) - at(-length)) - (at(2.0 * length) - at(-2.0 * length))) / (12.0 * length);
        assert!(
            (slope - told).abs() <= 1e-7 * slope.abs().max(1.0),
            "{name}, under {tag}: its gradient is {told} along a direction in which the loss's slope is {slope}"
        );
        assert!(told.abs() > 1e-12, "{name}: its gradient is zero, under {tag}");
    }
}

/// What the reference engine predicts after each loop.
fn predictions(model: &ReferenceModel, store: &ParamStore, prompts: &Prompts) -> Vec<Vec<f32>> {
    use looped_core::Predictor;
    let all = model.predictor(store).predict(prompts, 3).unwrap();
    (0..3).map(|index| all.after(index).to_vec()).collect()
}

fn later_points(tag: &str, model: &ReferenceModel, store: &ParamStore, causal: bool) {
    let prompts = prompts().slice(0..1);
    let mut other = prompts.clone();
    let last = prompts.points - 1;
    // The last point's x, and the y before it, of which earlier predictions know nothing.
    other.xs[last * prompts.n_dims] += 1.0;
    other.ys[last - 1] -= 1.0;
    let (one, two) = (predictions(model, store, &prompts), predictions(model, store, &other));
    for (index, (one, two)) in one.iter().zip(&two).enumerate() {
        assert_ne!(one[last], two[last], "under {tag}: the prediction after loop {index} doesn't see its x");
        let same = one[..last] == two[..last];
        assert!(
            same || !causal,
            "under {tag}: predictions after loop {index} see later points: say so by `is_causal`"
        );
    }
    assert!(
        causal || one.iter().zip(&two).any(|(one, two)| one[0] != two[0]),
        "it sees no later points, and says that it isn't causal"
    );
}

/// The rows of what is carried that pass for the same in every loop.
fn invariant_rows_are(tag: &str, model: &ReferenceModel, store: &ParamStore) {
    let prompts = prompts();
    let next: Wire = model.graph().carried()[0].next;
    let rows = invariant_rows(model.graph(), 2 * prompts.points)[next.node.index()];
    let mut looping = model.looping(store, &prompts).unwrap();
    let mut state = || -> Vec<f64> {
        looping.advance().unwrap();
        looping.state().narrow(1, 0, rows).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    };
    if rows > 0 {
        let first = state();
        assert!(
            (0..2).all(|_| state() == first),
            "under {tag}: the first {rows} rows pass for the same in every loop, and change"
        );
    }
}
