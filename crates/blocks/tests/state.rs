//! The state before the first loop, and how much of the way to the next state a loop goes.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use std::sync::Arc;

use looped_blocks as _;
use looped_core::{Device, ModelConfig, Noise, ParamStore, Predictor, Problems, Prompts, Rng, Tensor};
use looped_cpu::{CpuModel, Precision};
use looped_reference::ReferenceModel;
use looped_testing::{noisy_parameters, sound_model};

const FULL: &str = r#"{"type":"full"}"#;
const MULTIPLY: &str = r#"{"type":"full","operation":"multiply"}"#;
const LAST: &str = r#"{"type":"last_n","n":3}"#;
const NONE: &str = r#"{"type":"none"}"#;
const NOISE: &str = r#","first_state":{"type":"noise","std":0.5}"#;

/// A transformer of 3 coordinates and width 10, with more keys.
fn model(injector: &str, keys: &str) -> ModelConfig {
    let table = format!(
        r#"{{"n_dims":3,"n_positions":6,"n_embd":10,"n_layer":1,"block":{{"type":"transformer","n_head":2}},
            "injector":{injector}{keys}}}"#
    );
    serde_json::from_str(&table).unwrap()
}

fn prompts(count: usize) -> Prompts {
    let mut rng = Rng::stream(1, "prompts", 0);
    Prompts::pairs(rng.normals(count * 5 * 3), rng.normals(count * 5), [count, 5, 3])
}

fn rows(state: &Tensor) -> Vec<f32> {
    state.flatten_all().unwrap().to_vec1().unwrap()
}

/// The state before the first loop, and after each of some loops.
fn states(config: &ModelConfig, prompts: &Prompts, loops: usize) -> Vec<Vec<f32>> {
    let model = ReferenceModel::new(config.graph().unwrap()).unwrap();
    let store = noisy_parameters(model.graph(), 2);
    let mut looping = model.looping(&store, prompts, loops).unwrap();
    let mut states = vec![rows(looping.state())];
    for _ in 0..loops {
        looping.advance().unwrap();
        states.push(rows(looping.state()));
    }
    states
}

#[test]
fn every_first_state_and_relaxation_can_be_trained_and_computed_alike() {
    let zero = r#","first_state":{"type":"zero"}"#;
    let embedded = r#","first_state":{"type":"embedded"}"#;
    let learned = r#","first_state":{"type":"learned"}"#;
    let relaxed = r#","relaxation":0.9"#;
    for keys in [zero, embedded, NOISE, learned, relaxed] {
        for injector in
            [FULL, MULTIPLY, LAST, NONE, r#"{"type":"concat"}"#, r#"{"type":"pattern","keep":[false,true]}"#]
        {
            let shows_nothing = injector == NONE && ![embedded, relaxed].contains(&keys);
            // 0 stays 0 where the state is a factor.
            let vanishes = injector == MULTIPLY && keys == zero;
            if !shows_nothing && !vanishes {
                println!("{keys} under {injector}");
                sound_model(&model(injector, keys));
            }
        }
    }
    sound_model(&model(
        LAST,
        r#","first_state":{"type":"noise","std":1.0},"relaxation":0.5,"loop_norm":"none","positions":"once"
           ,"prelude":[{"type":"lstm"}],"coda":[{"type":"transformer","n_head":2}]"#,
    ));
}

#[test]
fn first_states_are_what_they_are_called() {
    let first = |injector: &str, keys: &str| states(&model(injector, keys), &prompts(2), 0).remove(0);
    let embedded = first(NONE, "");
    assert_eq!(first(FULL, ""), vec![0.0; 200]);
    assert_eq!(first(MULTIPLY, ""), vec![1.0; 200]);
    assert_eq!(first(MULTIPLY, r#","first_state":{"type":"injector"}"#), vec![1.0; 200]);
    assert_eq!(first(MULTIPLY, r#","first_state":{"type":"zero"}"#), vec![0.0; 200]);
    assert_eq!(first(FULL, r#","first_state":{"type":"embedded"}"#), embedded);
    let learned = model(FULL, r#","first_state":{"type":"learned"}"#);
    let store = noisy_parameters(&learned.graph().unwrap(), 2);
    let row = store.values().get("_first_state").unwrap().to_vec();
    assert_eq!(states(&learned, &prompts(2), 0)[0], row.repeat(20));
}

#[test]
fn noise_is_drawn_for_each_token_of_each_prompt() {
    let prompts = prompts(400).with_noise(Noise::new(3, "test", 7));
    let first = states(&model(FULL, NOISE), &prompts, 0).remove(0);
    let mut row = vec![0.0; 10];
    for (i, found) in first.chunks_exact(10).enumerate() {
        prompts.noise.fill(i / 10, i % 10, &mut row);
        assert!(found.iter().zip(&row).all(|(found, z)| *found == 0.5 * z), "token {i}");
    }
    let count = first.len() as f64;
    let mean = first.iter().map(|&z| f64::from(z)).sum::<f64>() / count;
    let variance = first.iter().map(|&z| f64::from(z).powi(2)).sum::<f64>() / count;
    // Bounds of about 4.5 standard errors, of 40,000 numbers.
    assert!(mean.abs() < 0.5 * 0.0225, "{mean}");
    assert!((variance / 0.25 - 1.0).abs() < 0.032, "{variance}");
}

#[test]
fn noise_does_not_depend_on_threads_chunks_or_the_engine() {
    for injector in [FULL, LAST] {
        let config = model(injector, NOISE);
        let (graph, prompts) = (Arc::new(config.graph().unwrap()), prompts(67));
        let store = noisy_parameters(&graph, 2);
        let by_threads = |threads: usize, prompts: &Prompts| {
            let model = CpuModel::new(Arc::clone(&graph), config.dims(), threads).unwrap();
            model.predictor(&store, Precision::F32).predict(prompts, 3).unwrap()
        };
        let all = by_threads(1, &prompts);
        for threads in [2, 3, 100] {
            assert_eq!(by_threads(threads, &prompts), all, "{threads} threads");
        }
        let some = by_threads(1, &prompts.slice(40..50));
        for index in 0..3 {
            assert_eq!(some.after(index), &all.after(index)[40 * 5..50 * 5]);
        }
        let reference = ReferenceModel::new(Arc::clone(&graph)).unwrap();
        let by_reference = reference.predictor(&store).predict(&prompts, 3).unwrap();
        for (a, b) in by_reference.values.iter().zip(&all.values) {
            assert!((a - b).abs() < 1e-4, "{a} {b}");
        }
        let other = prompts.clone().with_noise(Noise::new(1, "first state", 0));
        assert_ne!(by_threads(1, &other).values, all.values);
    }
}

/// By loops that go all of the way, mixed by hand. A token that keeps no state has none to be mixed in.
#[test]
fn a_relaxed_loop_goes_a_part_of_the_way() {
    const PART: f32 = 0.7;
    const EVERY_OTHER: &str = r#"{"type":"pattern","keep":[true,false]}"#;
    for (injector, kept) in
        [(FULL, 10), (LAST, 3), (r#"{"type":"first_n","n":4}"#, 4), (EVERY_OTHER, 5), (NONE, 10)]
    {
        let prompts = prompts(2);
        let keeps = |token: usize| match injector {
            LAST => token >= 10 - kept,
            EVERY_OTHER => token.is_multiple_of(2),
            _ => token < kept,
        };
        let relaxed = states(&model(injector, r#","relaxation":0.7"#), &prompts, 4);
        let whole = ReferenceModel::new(model(injector, "").graph().unwrap()).unwrap();
        let store = noisy_parameters(whole.graph(), 2);
        let mut looping = whole.looping(&store, &prompts, 4).unwrap();
        let mut state = rows(looping.state());
        for (index, relaxed) in relaxed[1..].iter().enumerate() {
            let given = Tensor::from_slice(&state, (2, 10, 10), &Device::Cpu).unwrap();
            looped_core::Loops::go_on_from(&mut looping, &given, index).unwrap();
            looping.advance().unwrap();
            for (i, (z, next)) in state.iter_mut().zip(rows(looping.state())).enumerate() {
                *z = if keeps(i / 10 % 10) { (1.0 - PART) * *z + PART * next } else { next };
            }
            for (mixed, relaxed) in state.iter().zip(relaxed) {
                assert!((mixed - relaxed).abs() < 1e-5, "{injector}, loop {index}: {mixed} {relaxed}");
            }
        }
    }
}

/// What `last_n` computes once stays what is computed once.
#[test]
fn a_relaxed_loop_leaves_the_prefix_alone() {
    let of = |keys: &str| looped_graph::unchanging_tokens(&model(LAST, keys).graph().unwrap(), 10);
    assert_eq!((of(""), of(r#","relaxation":0.7"#)), (7, 7));
}

#[test]
fn what_cannot_work_is_refused() {
    let problems = |injector: &str, keys: &str| {
        let mut problems = Problems::new();
        model(injector, keys).validate(&mut problems);
        problems.to_string()
    };
    assert_eq!(problems(FULL, r#","relaxation":0.0"#), "relaxation: is 0; allowed: above 0, to 1");
    assert_eq!(
        problems(FULL, r#","first_state":{"type":"noise","std":-1.0}"#),
        "first_state.std: is -1; allowed: above 0, to 1000"
    );
    assert_eq!(
        problems(NONE, r#","first_state":{"type":"zero"}"#),
        "first_state: leaves the model without the prompt, since the injector `none` brings in nothing; allowed: injector, embedded"
    );
}

#[test]
fn a_plain_model_asks_for_no_more_parameters() {
    let names = |keys: &str| -> Vec<String> {
        model(FULL, keys).graph().unwrap().params().iter().map(|info| info.name.clone()).collect()
    };
    let plain = names("");
    for keys in [NOISE, r#","first_state":{"type":"embedded"},"relaxation":0.5"#] {
        assert_eq!(names(keys), plain);
    }
    let learned = names(r#","first_state":{"type":"learned"}"#);
    assert_eq!(learned.iter().filter(|name| !plain.contains(name)).collect::<Vec<_>>(), ["_first_state"]);
    let store = ParamStore::new(
        &model(FULL, r#","first_state":{"type":"learned"}"#).graph().unwrap(),
        1,
        &Device::Cpu,
    );
    assert_eq!(store.unwrap().layout().find("_first_state").unwrap().dims, [10]);
}
