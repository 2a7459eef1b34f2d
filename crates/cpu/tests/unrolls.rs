//! Ways through the loops: what each gradient is of, and that both engines go them alike.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use looped_blocks as _;
use looped_core::{
    Body, Device, ExitWeighted, FixedPoint, Flat, Implicit, Jacobian, LastLoops, LastLoss, LoopLoss,
    ModelConfig, ModelDims, Objective, ParamStore, Phantom, Policy, Prior, Progressive, Prompts,
    RandomPrefix, Regularizer, Rng, Solver, StepLoops, UniformLoss, Unroll,
};
use looped_cpu::{CpuModel, Precision};
use looped_reference::ReferenceModel;
use looped_testing::noisy_parameters;

type Gradients = BTreeMap<String, Vec<f32>>;

const DIMS: ModelDims = ModelDims { n_dims: 3, n_positions: 6, n_embd: 8, n_layer: 1 };

struct Both {
    cpu: CpuModel,
    reference: ReferenceModel,
    store: ParamStore,
    prompts: Prompts,
}

struct Found {
    loss: f64,
    gradients: Gradients,
    notes: BTreeMap<&'static str, f64>,
}

impl Both {
    /// A model and five prompts of four points.
    fn new(block: &str, injector: &str, threads: usize) -> Self {
        let (block, injector) =
            (serde_json::from_str(block).unwrap(), serde_json::from_str(injector).unwrap());
        let graph = Arc::new(ModelConfig::new(DIMS, block, injector).graph().unwrap());
        let mut rng = Rng::stream(7, "prompts", 0);
        let (prompts, points, n_dims) = (5, 4, DIMS.n_dims);
        let (xs, ys) = (rng.normals(prompts * points * n_dims), rng.normals(prompts * points));
        let prompts = Prompts::pairs(xs, ys, [prompts, points, n_dims]);
        Self {
            cpu: CpuModel::new(Arc::clone(&graph), DIMS, threads).unwrap(),
            store: noisy_parameters(&graph, 3),
            reference: ReferenceModel::new(graph).unwrap(),
            prompts,
        }
    }

    fn usual() -> Self {
        Self::new(r#"{"type":"transformer","n_head":2}"#, r#"{"type":"full"}"#, 2)
    }

    fn cpu(&self, policy: &dyn Policy) -> Found {
        let asked = (Objective::SquaredError, Precision::F32);
        let looped_core::Found { loss, gradients, notes } =
            self.cpu.run(&self.store, &self.prompts, asked, policy).unwrap();
        Found { loss, gradients: by_name(&gradients), notes }
    }

    fn reference(&self, policy: &dyn Policy) -> Found {
        let looped_core::Found { loss, gradients, notes } =
            self.reference.run(&self.store, &self.prompts, Objective::SquaredError, policy).unwrap();
        Found { loss, gradients: by_name(&gradients), notes }
    }

    /// Both engines' findings, which agree.
    fn agree(&self, what: &str, policy: &dyn Policy) -> Found {
        let (cpu, reference) = (self.cpu(policy), self.reference(policy));
        assert!(
            (cpu.loss - reference.loss).abs() < 2e-5 * reference.loss.abs().max(0.1),
            "{what}: {} {}",
            cpu.loss,
            reference.loss
        );
        close(what, &cpu.gradients, &reference.gradients, 1e-4);
        for (name, note) in &cpu.notes {
            let other = reference.notes[name];
            assert!((note - other).abs() < 1e-3 * other.abs() + 1e-6, "{what}: {name} {note} {other}");
        }
        cpu
    }

    /// The change of a loss with each of some parameters, by central differences.
    fn differences(&self, policy: &dyn Policy, names: &[&str]) -> Vec<(String, usize, f64)> {
        let mut all = Vec::new();
        for name in names {
            let range = self.store.layout().find(name).unwrap().range.clone();
            for at in [0, range.len() / 2, range.len() - 1] {
                let value = self.store.values()[range.start + at];
                let set = |value: f32| self.store.values_mut()[range.start + at] = value;
                let moved = |by: f32| {
                    set(value + by);
                    self.cpu(policy).loss
                };
                let h = 4e-3;
                all.push(((*name).to_owned(), at, (moved(h) - moved(-h)) / f64::from(2.0 * h)));
                set(value);
            }
        }
        all
    }

    /// Holds a policy's gradient to differences of its loss.
    fn differentiates(&self, what: &str, policy: &dyn Policy, names: &[&str]) {
        let gradients = self.agree(what, policy).gradients;
        let largest = gradients.values().flatten().fold(0.0f32, |most, g| most.max(g.abs()));
        for (name, at, expected) in self.differences(policy, names) {
            let found = f64::from(gradients[&name][at]);
            assert!(
                (found - expected).abs() < 4e-3 * f64::from(largest) + 1e-2 * expected.abs(),
                "{what}: {name}[{at}] is {found}, differences say {expected}"
            );
        }
    }
}

/// Numbers of all parameters, by name.
fn by_name(flat: &Flat) -> Gradients {
    flat.named().map(|(place, values)| (place.name.clone(), values.to_vec())).collect()
}

fn close(what: &str, found: &Gradients, expected: &Gradients, tolerance: f32) {
    let largest = expected.values().flatten().fold(0.0f32, |most, g| most.max(g.abs()));
    for (name, expected) in expected {
        for (i, (found, expected)) in found[name].iter().zip(expected).enumerate() {
            assert!(
                (found - expected).abs() <= tolerance * largest,
                "{what}: {name}[{i}] is {found}, expected {expected}"
            );
        }
    }
}

/// Parameters of the loop, of the prompt's way to it, and of the read-out.
const NAMES: [&str; 4] = [
    "_read_in.weight",
    "_backbone.transformer.h.0.attn.c_attn.weight",
    "_backbone.transformer.h.0.mlp.c_proj.bias",
    "_read_out.weight",
];

fn step(
    loops: usize,
    window: usize,
    unroll: impl Unroll + 'static,
    loss: impl LoopLoss + 'static,
) -> StepLoops {
    StepLoops {
        loops,
        window,
        counted: None,
        unroll: Arc::new(unroll),
        loss: Arc::new(loss),
        regularizers: Vec::new(),
        rng: Rng::stream(5, "unroll", 1),
    }
}

#[test]
fn both_engines_go_every_way_alike() {
    let blocks = [
        r#"{"type":"transformer","n_head":2}"#,
        r#"{"type":"lstm"}"#,
        r#"{"type":"sequential","blocks":[{"type":"loop_embedding","loops":3,"beyond":"interpolate"},{"type":"ssm","n_state":2}]}"#,
    ];
    let injectors = [
        r#"{"type":"full"}"#,
        r#"{"type":"last_n","n":3}"#,
        r#"{"type":"none"}"#,
        r#"{"type":"last_n","n":0}"#,
    ];
    let regularizers: Vec<Arc<dyn Regularizer>> =
        vec![Arc::new(FixedPoint { weight: 0.3 }), Arc::new(Jacobian { weight: 0.5 })];
    let anderson = Solver::Anderson { memory: 3, damping: 1.0 };
    let products = |solver| Implicit { solver, products: 6, tolerance: 1e-3 };
    let ways = || {
        vec![
            step(5, 3, LastLoops {}, UniformLoss {}),
            step(5, 3, RandomPrefix {}, LastLoss {}),
            step(5, 3, LastLoops {}, Progressive { alpha: 0.4 }),
            step(5, 3, Phantom { loops: 3, damping: 0.6 }, UniformLoss {}),
            step(3, 3, Phantom { loops: 3, damping: 0.6 }, LastLoss {}),
            step(5, 1, products(Solver::Iteration), LastLoss {}),
            step(5, 1, products(anderson), LastLoss {}),
        ]
    };
    for block in blocks {
        for injector in injectors {
            let both = Both::new(block, injector, 2);
            for plain in ways() {
                let more = StepLoops { regularizers: regularizers.clone(), ..plain.clone() };
                for step in [plain, more] {
                    both.agree(&format!("{block} {injector} {step:?}"), &step);
                }
            }
        }
    }
}

/// However the prompts are shared out.
#[test]
fn a_step_is_the_same_on_any_number_of_threads() {
    let (block, injector) = (r#"{"type":"transformer","n_head":2}"#, r#"{"type":"full"}"#);
    let anderson = Solver::Anderson { memory: 3, damping: 1.0 };
    let mut step = step(5, 1, Implicit { solver: anderson, products: 5, tolerance: 1e-3 }, LastLoss {});
    step.regularizers = vec![Arc::new(Jacobian { weight: 0.5 })];
    let [one, three] = [1, 3].map(|threads| Both::new(block, injector, threads).cpu(&step));
    close("three threads", &three.gradients, &one.gradients, 1e-5);
    assert!((one.notes["jacobian"] - three.notes["jacobian"]).abs() < 1e-6);
}

#[test]
fn undamped_phantom_loops_are_a_window() {
    let both = Both::usual();
    let window = both.cpu(&step(5, 3, LastLoops {}, UniformLoss {}));
    let phantom = both.cpu(&step(5, 3, Phantom { loops: 3, damping: 1.0 }, UniformLoss {}));
    assert!((phantom.loss / window.loss - 1.0).abs() < 1e-6, "{} {}", phantom.loss, window.loss);
    close("undamped", &phantom.gradients, &window.gradients, 1e-5);
}

/// Where all loops are damped ones, the gradient is the loss's own.
#[test]
fn damped_loops_have_the_gradient_of_their_loss() {
    let phantom = Phantom { loops: 4, damping: 0.5 };
    Both::usual().differentiates("phantom", &step(4, 4, phantom, UniformLoss {}), &NAMES);
}

/// After many loops the state is a fixed point, whose gradient is that of the whole way to it.
#[test]
fn the_implicit_gradient_is_that_of_all_loops() {
    let mut both = Both::usual();
    // As a training begins, a loop contracts.
    both.store = ParamStore::new(both.reference.graph(), 3, &Device::Cpu).unwrap();
    let whole = both.cpu(&step(80, 80, LastLoops {}, LastLoss {}));
    for (solver, loops) in [(Solver::Iteration, 80), (Solver::Anderson { memory: 5, damping: 1.0 }, 30)] {
        let implicit = Implicit { solver, products: 100, tolerance: 1e-5 };
        let found = both.agree("implicit", &step(loops, 1, implicit, LastLoss {}));
        assert!(found.notes["fixed_point_residual"] < 1e-4, "{:?}", found.notes);
        assert!(found.notes["adjoint_residual"] < 1e-4, "{:?}", found.notes);
        assert!((found.loss / whole.loss - 1.0).abs() < 1e-4, "{} {}", found.loss, whole.loss);
        close("implicit and whole", &found.gradients, &whole.gradients, 2e-3);
    }
}

/// A regulariser at a state that no parameter moves, so that its loss can be differentiated by itself.
struct At<'a> {
    regularizer: &'a dyn Regularizer,
    state: Vec<f32>,
    /// The gradient with respect to the state, of all prompts.
    slope: Mutex<BTreeMap<usize, Vec<f32>>>,
}

impl<'a> At<'a> {
    fn new(regularizer: &'a dyn Regularizer, both: &Both) -> Self {
        let tokens = 2 * both.prompts.points - 1;
        let state = Rng::stream(9, "state", 0).normals(both.prompts.prompts * tokens * DIMS.n_embd);
        Self { regularizer, state, slope: Mutex::default() }
    }
}

impl Policy for At<'_> {
    fn loops(&self) -> usize {
        1
    }

    fn slots(&self) -> (usize, bool) {
        (self.regularizer.slots(), true)
    }

    fn run(&self, body: &mut dyn Body) -> f64 {
        body.start(false);
        let (range, all) = (body.prompts(), body.prompts_of_step());
        // The last y is left out on one engine, and not on the other.
        let wanted = body.state().len() / range.len();
        let each = self.state.len() / all;
        let own: Vec<f32> = range
            .clone()
            .flat_map(|prompt| {
                (0..wanted).map(move |i| if i < each { self.state[prompt * each + i] } else { 0.5 })
            })
            .collect();
        body.set_state(&own);
        let value = self.regularizer.add(body, 0, &mut Rng::stream(1, "directions", 2));
        for (i, prompt) in range.enumerate() {
            self.slope.lock().unwrap().insert(prompt, body.gradient()[i * wanted..(i + 1) * wanted].to_vec());
        }
        assert_eq!(body.state(), own, "the state is left as it was");
        body.finish();
        value
    }
}

fn slopes_against_differences(both: &Both, regularizer: &dyn Regularizer, names: &[&str]) {
    let at = At::new(regularizer, both);
    let gradients = both.cpu(&at).gradients;
    let largest = gradients.values().flatten().fold(0.0f32, |most, g| most.max(g.abs()));
    assert!(largest > 0.0);
    for (name, i, expected) in both.differences(&at, names) {
        let found = f64::from(gradients[&name][i]);
        assert!(
            (found - expected).abs() < 5e-3 * f64::from(largest) + 2e-2 * expected.abs(),
            "{regularizer:?}: {name}[{i}] is {found}, differences say {expected}"
        );
    }
}

#[test]
fn the_jacobian_regularizers_gradient_is_that_of_its_value() {
    let both = Both::usual();
    slopes_against_differences(&both, &Jacobian { weight: 3.0 }, &NAMES[..3]);
    let state = At::new(&Jacobian { weight: 3.0 }, &both);
    both.cpu(&state);
    assert!(state.slope.lock().unwrap().values().flatten().all(|slope| *slope == 0.0));
}

#[test]
fn the_fixed_point_regularizers_gradient_is_that_of_its_value() {
    let both = Both::usual();
    let regularizer = FixedPoint { weight: 2.0 };
    slopes_against_differences(&both, &regularizer, &NAMES[..3]);
    let mut at = At::new(&regularizer, &both);
    both.cpu(&at);
    let slopes = std::mem::take(&mut *at.slope.lock().unwrap());
    let each = at.state.len() / both.prompts.prompts;
    for (prompt, i) in [(0, 0), (1, 9), (2, 20), (4, each - 1)] {
        let mut moved = |by: f32| {
            at.state[prompt * each + i] += by;
            let loss = both.cpu(&at).loss;
            at.state[prompt * each + i] -= by;
            loss
        };
        let expected = (moved(5e-3) - moved(-5e-3)) / 1e-2;
        let found = f64::from(slopes[&prompt][i]);
        assert!((found - expected).abs() < 2e-4 + 1e-2 * expected.abs(), "{prompt} {i}: {found} {expected}");
    }
}

/// With no gate in the model the last number of a prediction stands for one: the loss is differentiated whole.
#[test]
fn a_joint_loss_goes_back_through_all_loops() {
    let mut config = ModelConfig::new(
        DIMS,
        serde_json::from_str(r#"{"type":"transformer","n_head":2}"#).unwrap(),
        serde_json::from_str(r#"{"type":"last_n","n":3}"#).unwrap(),
    );
    config.head = looped_core::Head::Classes { count: 2 };
    let graph = Arc::new(config.graph().unwrap());
    let mut both = Both::usual();
    both.store = noisy_parameters(&graph, 3);
    both.cpu = CpuModel::new(Arc::clone(&graph), DIMS, 2).unwrap();
    both.reference = ReferenceModel::new(graph).unwrap();
    for prior in [Prior::Uniform, Prior::Geometric { rate: 0.4 }] {
        let step = step(3, 3, LastLoops {}, ExitWeighted { beta: 0.3, prior });
        both.differentiates("exits", &step, &NAMES);
    }
}
