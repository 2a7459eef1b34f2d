//! The CUDA engine computes what the reference engine does: loss, every gradient, predictions. On a fake GPU, or on the one that is there:
//! `LOOPED_TEST_DEVICE=cuda:0 cargo test -p looped-cuda -- --ignored`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test is a panic")]

#[allow(dead_code, reason = "the CPU engine's tests use all of it")]
#[path = "../../../cpu/tests/agreement/cases.rs"]
mod cases;
mod cells;
mod custom;
#[path = "../../../gpu/tests/fake/mod.rs"]
mod fake;
#[allow(dead_code, reason = "the CPU engine's tests use all of it")]
#[path = "../../../cpu/tests/random_graphs/recipe.rs"]
mod recipe;
mod ways;

use std::sync::Arc;

use cases::{Case, cases};
use looped_core::{LoopPlan, ModelDims, Objective, ParamStore, Predictor, Prompts};
use looped_cuda::{CudaModel, Math, Step};
use looped_graph::{Graph, Heads, Linear, Norm, Trace};
use looped_testing::{
    Asked, Results, agrees_with_reference, by_name, furthest_from_reference, noisy_parameters,
};
use proptest::test_runner::{Config, TestRunner};
use recipe::{Line, Recipe, recipes};

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|value| f64::from(*value)).collect()
}

/// Loss, gradients and predictions, twice each: operation by operation, and replayed.
fn results(model: &CudaModel, store: &ParamStore, prompts: &Prompts, asked: Asked, math: Math) -> Results {
    let Asked { plan, loss_loops, objective, .. } = asked;
    let step = Step { plan, loss_loops, objective, math };
    let all = || {
        let (loss, gradients) = model.step(store, prompts, step).expect("a step");
        let predictions = model.predictor(store, math).predict(prompts, plan.loops).expect("predictions");
        Results { loss, gradients: by_name(&gradients), predictions: wide(&predictions.values) }
    };
    let found = all();
    assert!(found == all(), "a replay gives other bits");
    found
}

fn asked(case: &Case) -> Asked {
    let Case { plan, loss_loops, objective, threads, .. } = *case;
    Asked { plan, loss_loops, objective, threads }
}

fn check(
    graph: &Graph,
    dims: ModelDims,
    store: &ParamStore,
    prompts: &Prompts,
    asked: Asked,
) -> Result<(), String> {
    let model = CudaModel::new(Arc::new(graph.clone()), dims, 0).expect("a model");
    let found = results(&model, store, prompts, asked, Math::F32);
    agrees_with_reference("CUDA", graph, store, prompts, asked, &found)
}

fn agree(case: &Case) {
    let config = case.model();
    let graph = config.graph().unwrap();
    if CudaModel::refusals(&graph).is_empty() {
        let store = noisy_parameters(&graph, case.seed);
        check(&graph, config.dims(), &store, &case.data(), asked(case))
            .unwrap_or_else(|what| panic!("{what} in {case:?}"));
    }
}

const TRANSFORMER: &str = r#"{"type":"transformer","n_head":2}"#;
const BLOCKS: [&str; 4] = [
    TRANSFORMER,
    r#"{"type":"lstm"}"#,
    r#"{"type":"ssm","n_state":3}"#,
    r#"{"type":"sequential","blocks":[{"type":"ssm","n_state":11},{"type":"transformer","n_head":3}]}"#,
];

#[test]
fn of_ordinary_models_within_1e_5() {
    fake::passes("inner_ordinary", &[]);
}

#[test]
#[ignore = "run by the test above, on the fake GPU"]
fn inner_ordinary() {
    for block in BLOCKS {
        for injector in [r#"{"type":"full"}"#, r#"{"type":"last_n","n":9}"#] {
            let size = Case { n_dims: 5, n_embd: 36, n_layer: 1, prompts: 6, ..Case::small(block, injector) };
            let case = Case { points: 11, plan: LoopPlan { loops: 8, window: 4 }, loss_loops: 4, ..size };
            let (config, asked) = (case.model(), asked(&case));
            let graph = config.graph().unwrap();
            let store = ParamStore::new(&graph, 1, &candle_core::Device::Cpu).unwrap();
            let model = CudaModel::new(Arc::new(graph.clone()), config.dims(), 0).unwrap();
            let found = results(&model, &store, &case.data(), asked, Math::F32);
            let far = furthest_from_reference(&graph, &store, &case.data(), asked, &found).unwrap();
            println!("{far:.1e}: {block}, {injector}");
            assert!(far < 1e-5, "{far:.1e} in {case:?}");
        }
    }
}

#[test]
fn at_the_edges_of_last_n_and_first_n() {
    fake::passes("inner_edges_of_tokens", &[]);
}

#[test]
#[ignore = "run by the test above, on the fake GPU"]
fn inner_edges_of_tokens() {
    let last = [-1, 0, 1, 5, 9, 11].map(|n| ("last_n", n));
    let first = [0, 1, 9, 11].map(|n| ("first_n", n));
    for (kind, n) in last.into_iter().chain(first) {
        for block in BLOCKS {
            let injector = format!(r#"{{"type":"{kind}","n":{n},"operation":"add"}}"#);
            agree(&Case { points: 5, ..Case::small(block, &injector) });
        }
    }
    for block in BLOCKS {
        agree(&Case { points: 5, ..Case::small(block, r#"{"type":"pattern","keep":[true,false,true]}"#) });
    }
}

#[test]
fn at_the_edges_of_the_window() {
    fake::passes("inner_edges_of_the_window", &[]);
}

#[test]
#[ignore = "run by the test above, on the fake GPU"]
fn inner_edges_of_the_window() {
    for injector in [r#"{"type":"full"}"#, r#"{"type":"full","operation":"multiply"}"#, r#"{"type":"none"}"#]
    {
        for (loops, window, loss_loops) in [(1, 1, 1), (4, 1, 1), (4, 9, 9), (4, 3, 1), (4, 4, 2)] {
            let plan = LoopPlan { loops, window };
            agree(&Case { plan, loss_loops, ..Case::small(TRANSFORMER, injector) });
        }
    }
}

#[test]
fn every_loss_and_prompts_of_tokens() {
    fake::passes("inner_losses", &[]);
}

#[test]
#[ignore = "run by the test above, on the fake GPU"]
fn inner_losses() {
    let case = Case::small(TRANSFORMER, r#"{"type":"last_n","n":3}"#);
    agree(&Case { objective: Objective::CrossEntropy, ..case.clone() });
    agree(&Case { objective: Objective::Classes, alphabet: Some([5, 4]), ..case });
}

#[test]
fn first_states_relaxation_and_norms() {
    fake::passes("inner_states", &[]);
}

#[test]
#[ignore = "run by the test above, on the fake GPU"]
fn inner_states() {
    let of = |block: &str, injector: &str, keys: &str| {
        let table = format!(
            r#"{{"n_dims":3,"n_positions":5,"n_embd":12,"n_layer":1,"block":{block},"injector":{injector}{keys}}}"#
        );
        let config: looped_core::ModelConfig = serde_json::from_str(&table).unwrap();
        let case = Case::small(block, injector);
        let graph = config.graph().unwrap();
        let store = noisy_parameters(&graph, case.seed);
        check(&graph, config.dims(), &store, &case.data(), asked(&case))
            .unwrap_or_else(|what| panic!("{what} in {table}"));
    };
    for injector in [r#"{"type":"full"}"#, r#"{"type":"last_n","n":3}"#] {
        for state in [r#""zero""#, r#""embedded""#, r#""learned""#, r#""noise","std":0.5"#] {
            of(TRANSFORMER, injector, &format!(r#","first_state":{{"type":{state}}}"#));
        }
        of(TRANSFORMER, injector, r#","relaxation":0.9"#);
    }
    for norm in ["post", "peri", "sandwich"] {
        let keys = format!(r#""n_head":2,"norm":"{norm}","residual_scale":0.5"#);
        of(&format!(r#"{{"type":"transformer",{keys}}}"#), r#"{"type":"full"}"#, "");
        of(&format!(r#"{{"type":"llama",{keys}}}"#), r#"{"type":"full"}"#, "");
    }
}

#[test]
fn rows_and_matrices_by_loop() {
    fake::passes("inner_by_loop", &[]);
}

/// Blocks with parameters of which each loop has its own, or what lies between two of them.
fn blocks_by_loop() -> Vec<String> {
    let mut blocks = Vec::new();
    for beyond in ["clamp", "wrap", "interpolate"] {
        let row = format!(r#"{{"type":"loop_embedding","loops":3,"beyond":"{beyond}"}}"#);
        blocks.push(format!(r#"{{"type":"sequential","blocks":[{row},{TRANSFORMER}]}}"#));
        let keys = format!(r#""n_head":2,"lora":{{"rank":2,"loops":3,"beyond":"{beyond}"}}"#);
        blocks.push(format!(r#"{{"type":"transformer",{keys}}}"#));
        blocks.push(format!(r#"{{"type":"llama",{keys}}}"#));
    }
    blocks
}

#[test]
#[ignore = "run by the test above, on the fake GPU"]
fn inner_by_loop() {
    for block in blocks_by_loop() {
        for (loops, window, loss_loops) in [(5, 3, 2), (3, 9, 9)] {
            let plan = LoopPlan { loops, window };
            agree(&Case { plan, loss_loops, ..Case::small(&block, r#"{"type":"last_n","n":3}"#) });
        }
    }
}

#[test]
fn nothing_built_in_is_refused() {
    for block in blocks_by_loop().iter().map(String::as_str).chain(BLOCKS) {
        let graph = Case::small(block, r#"{"type":"full"}"#).model().graph().unwrap();
        assert_eq!(CudaModel::refusals(&graph), [""; 0], "{block}");
    }
}

/// A looped model whose layer is an operation of an author's own.
fn of_ones_own() -> Graph {
    let trace = Trace::new();
    {
        let params = trace.params();
        let input = trace.input(3).linear(&Linear::uniform(3, 8, &mut params.scope("in")));
        let state = trace.carry(input.like(0.0));
        let x = state.value() + input;
        let next = trace.scope("h.0", || x + x.candle("waves", &[], |x| x[0].sin()));
        trace.next(state, next);
        trace.read(next.linear(&Linear::uniform(8, 1, &mut params.scope("out"))));
    }
    trace.finish().unwrap()
}

#[test]
fn an_operation_of_ones_own_is_refused_with_its_part_and_its_line() {
    let graph = of_ones_own();
    let refusals = CudaModel::refusals(&graph);
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    let start = format!("h.0: candle `waves`: an operation of one's own has no CUDA kernel, at {}:", file!());
    assert!(refusals[0].starts_with(&start), "{refusals:?}");
    // No GPU is needed to be told so.
    let dims = ModelDims { n_dims: 3, n_positions: 5, n_embd: 8, n_layer: 1 };
    let refused = CudaModel::new(Arc::new(graph), dims, 0).err().unwrap().to_string();
    assert!(refused.contains(&refusals[0]), "{refused}");
}

fn random<T: std::fmt::Debug>(
    count: u32,
    of: impl proptest::strategy::Strategy<Value = T>,
    test: impl Fn(T),
) {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(count);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 40, ..Config::default() };
    TestRunner::new(config)
        .run(&of, |value| {
            test(value);
            Ok(())
        })
        .unwrap();
}

#[test]
fn on_random_models() {
    fake::passes("inner_random_models", &[]);
}

#[test]
#[ignore = "run by the test above, on the fake GPU"]
fn inner_random_models() {
    random(12, cases(), |case| agree(&case));
}

#[test]
fn on_random_graphs() {
    fake::passes("inner_random_graphs", &[]);
}

#[test]
#[ignore = "run by the test above, on the fake GPU"]
fn inner_random_graphs() {
    random(30, recipes(), |recipe| agree_on(&recipe));
}

/// Where every token sees all others, a token that is never read is kept alone in the loops: what only readouts do has no rows there.
#[test]
fn on_steps_without_rows() {
    fake::passes("inner_steps_without_rows", &[]);
}

#[test]
#[ignore = "run by the test above, on the fake GPU"]
fn inner_steps_without_rows() {
    let recipe = Recipe {
        n_dims: 1,
        width: 6,
        first: 0,
        inject: 3,
        keep: 1,
        lines: vec![Line { kind: 27, a: 0, b: 0, n: 12 }],
        next: 4,
        read: 1,
        prompts: 2,
        points: 6,
        plan: LoopPlan { loops: 2, window: 4 },
        loss_loops: 1,
        objective: Objective::SquaredError,
        threads: 1,
        seed: 3,
    };
    for read in 0..8 {
        for line in [27, 28, 29, 7, 3] {
            let lines = vec![Line { kind: 27, ..recipe.lines[0] }, Line { kind: line, ..recipe.lines[0] }];
            agree_on(&Recipe { read, lines, ..recipe.clone() });
        }
        agree_on(&Recipe { read, ..recipe.clone() });
    }
}

fn agree_on(recipe: &Recipe) {
    let graph = recipe.graph();
    if !CudaModel::refusals(&graph).is_empty() {
        return;
    }
    let store = noisy_parameters(&graph, recipe.seed);
    let asked = Asked {
        plan: recipe.plan,
        loss_loops: recipe.loss_loops,
        objective: recipe.objective,
        threads: recipe.threads,
    };
    // A model that grows from loop to loop says nothing of engines.
    let step = looped_reference::Step {
        plan: recipe.plan,
        loss_loops: recipe.loss_loops,
        objective: recipe.objective,
    };
    let model = looped_reference::ReferenceModel::new(graph.clone()).unwrap();
    if model.step(&store, &recipe.data(), step).unwrap().0 < 1e3 {
        check(&graph, recipe.dims(), &store, &recipe.data(), asked).unwrap_or_else(|what| panic!("{what}"));
    }
}

/// A looped model of which attention and a product read the same rows.
fn seen_by_both() -> Graph {
    let trace = Trace::new();
    {
        let params = trace.params();
        let linear = |name: &str, inputs, out| Linear::uniform(inputs, out, &mut params.scope(name));
        let input = trace.input(3).linear(&linear("in", 3, 32));
        let state = trace.carry(input.like(0.0));
        let norm = Norm::layer(32, &mut params.scope("norm"));
        let rows = (state.value() + input).norm(&norm).linear(&linear("rows", 32, 96));
        let (product, seen) = (rows.linear(&linear("product", 96, 32)), rows.attention(Heads::causal(2)));
        let next = product + seen.linear(&linear("seen", 32, 32)) + seen;
        trace.next(state, next);
        trace.read(next.linear(&linear("out", 32, 1)));
    }
    trace.finish().unwrap()
}

#[test]
fn tf32_and_bf16_are_f32_roughly() {
    fake::passes("inner_precisions", &[("FAKE_CUBLAS_ROUNDS", "1")]);
}

#[test]
#[ignore = "run by the test above, on the fake GPU"]
fn inner_precisions() {
    let by_loop = r#"{"type":"transformer","n_head":2,"lora":{"rank":3,"loops":3,"beyond":"interpolate"}}"#;
    let (full, last) = (r#"{"type":"full"}"#, r#"{"type":"last_n","n":5}"#);
    for (block, injector) in [(TRANSFORMER, full), (TRANSFORMER, last), (by_loop, full), ("seen twice", full)]
    {
        let seen_twice = block == "seen twice";
        let block = if seen_twice { TRANSFORMER } else { block };
        let case = Case { n_embd: 32, points: 6, ..Case::small(block, injector) };
        let (config, data) = (case.model(), case.data());
        let graph = if seen_twice { seen_by_both() } else { config.graph().unwrap() };
        let store = noisy_parameters(&graph, case.seed);
        let model = CudaModel::new(Arc::new(graph), config.dims(), 0).unwrap();
        let of = |math| results(&model, &store, &data, asked(&case), math);
        let exact = of(Math::F32);
        let largest = exact.gradients.values().flatten().fold(0.0, |most: f64, value| most.max(value.abs()));
        for (math, allowed) in [(Math::Tf32, 5e-3), (Math::Bf16, 5e-2)] {
            let rough = of(math);
            assert!(rough != exact, "{math:?} isn't rounded");
            assert!(
                (rough.loss / exact.loss - 1.0).abs() < allowed,
                "{math:?}: {} {}",
                rough.loss,
                exact.loss
            );
            for (name, values) in &rough.gradients {
                let far =
                    values.iter().zip(&exact.gradients[name]).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(
                    far < 3.0 * allowed * largest,
                    "{math:?}: {name} is {far} apart, the largest is {largest}"
                );
            }
        }
    }
}
