//! Each optimiser agrees with PyTorch over 100 steps.
//!
//! The fixtures come from `scripts/torch/make_optimizer_fixtures.py`, computed in f64 and rounded to f32.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Tensor;
use looped_core::graph::{Graph, Init, Linear, Trace};
use looped_core::{Depth, Flat, LoopLoss, Optimizer, ParamStore, Regularizer, Schedule, Unroll};
use looped_testing::{Part, is_registered, round_trips};
use looped_train::{Updater, decode};
use safetensors::SafeTensors;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    learning_rate: f64,
    l2: f64,
}

struct Fixture {
    rule: Arc<dyn Optimizer>,
    case: Case,
    tensors: BTreeMap<String, Tensor>,
}

impl Fixture {
    fn read(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/optimizers");
        let path = path.join(name).with_extension("safetensors");
        let bytes = std::fs::read(&path).unwrap();
        let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        let metadata = metadata.metadata().clone().unwrap();
        Self {
            rule: serde_json::from_str(&metadata["optimizer"]).unwrap(),
            case: serde_json::from_str(&metadata["case"]).unwrap(),
            tensors: decode(&bytes, Path::new(name)).unwrap(),
        }
    }

    fn group(&self, prefix: &str) -> BTreeMap<String, Tensor> {
        let strip = |(name, tensor): (&String, &Tensor)| {
            Some((name.strip_prefix(prefix)?.to_owned(), tensor.clone()))
        };
        self.tensors.iter().filter_map(strip).collect()
    }
}

/// Two layers and a read-out, with the fixtures' parameters.
fn graph() -> Graph {
    let trace = Trace::new();
    let params = trace.params();
    let wide = Linear::new(4, 6, Init::Zeros, Init::Zeros, &mut params.scope("h"));
    let tall = Linear::without_bias(6, 4, 1.0, &mut params.scope("tall"));
    let end = Linear::without_bias(4, 1, 1.0, &mut params.scope("_read_out"));
    trace.read(trace.input(4).linear(&wide).linear(&tall).linear(&end));
    trace.finish().unwrap()
}

/// The largest difference after so many steps, relative to the largest number.
fn differences(name: &str) -> Vec<(String, f64)> {
    let fixture = Fixture::read(name);
    let (graph, device) = (graph(), looped_testing::device());
    let store = ParamStore::new(&graph, 0, &device).unwrap();
    store.load(&fixture.group("start.")).unwrap();
    let mut updater = Updater::new(Arc::clone(&fixture.rule), &graph, &store, fixture.case.l2).unwrap();
    let gradients = fixture.group("gradients.");
    let mut found = Vec::new();
    for step in 0..100 {
        let of_step = |(name, all): (&String, &Tensor)| (name.clone(), all.get(step).unwrap());
        let of_step = gradients.iter().map(of_step).collect();
        let of_step = Flat::from_tensors(Arc::clone(store.layout()), &of_step).unwrap();
        updater.update(&store, &of_step, fixture.case.learning_rate).unwrap();
        for (parameter, expected) in fixture.group(&format!("step{}.", step + 1)) {
            let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let (now, expected) = (store.values().get(&parameter).unwrap().to_vec(), values(&expected));
            let scale = expected.iter().fold(0f32, |most, x| most.max(x.abs()));
            let worst = now.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
            found.push((format!("{name}: {parameter} after step {}", step + 1), f64::from(worst / scale)));
        }
    }
    assert_eq!(found.len(), 12, "{name}");
    found
}

#[test]
fn adam_and_adamw_are_pytorchs_over_100_steps() {
    for name in ["adam", "adamw", "adamw_defaults"] {
        for (what, difference) in differences(name) {
            assert!(difference <= 1e-6, "{what} differs by {difference:e}");
        }
    }
}

/// The iteration stretches small singular values by 3.4 a step, and so the rounding in them: by 500 in five steps.
#[test]
fn muon_is_that_of_the_pytorch_script_over_100_steps() {
    for name in ["muon_adamw", "muon_shape"] {
        for (what, difference) in differences(name) {
            assert!(difference <= 1e-5, "{what} differs by {difference:e}");
        }
    }
}

/// Each table's part is in the register, and reads back to itself.
fn fits<T: Part + ?Sized>(tables: &[&str]) {
    for table in tables {
        is_registered::<T>(table);
        round_trips::<T>(table);
    }
}

#[test]
fn each_part_of_a_training_is_registered_documented_and_reads_back() {
    fits::<dyn Optimizer>(&[
        r#"{"type":"adam"}"#,
        r#"{"type":"adamw","weight_decay":0.1}"#,
        r#"{"type":"muon","scale":"shape","steps":6}"#,
    ]);
    fits::<dyn Schedule>(&[
        r#"{"type":"constant"}"#,
        r#"{"type":"linear","warmup":3}"#,
        r#"{"type":"cosine","final":0.1}"#,
        r#"{"type":"wsd","decay":4}"#,
    ]);
    fits::<dyn Depth>(&[
        r#"{"type":"ramp"}"#,
        r#"{"type":"uniform","from":1,"to":4}"#,
        r#"{"type":"set","loops":[3,3,9]}"#,
        r#"{"type":"poisson_lognormal","mean":4.0,"most":20}"#,
    ]);
    fits::<dyn Unroll>(&[
        r#"{"type":"last"}"#,
        r#"{"type":"random_prefix"}"#,
        r#"{"type":"phantom","loops":3,"damping":0.5}"#,
        r#"{"type":"implicit","solver":{"type":"anderson","memory":3},"tolerance":0.01}"#,
    ]);
    fits::<dyn LoopLoss>(&[
        r#"{"type":"uniform"}"#,
        r#"{"type":"last"}"#,
        r#"{"type":"progressive","alpha":0.5}"#,
        r#"{"type":"exit_weighted","prior":{"type":"geometric","rate":0.2}}"#,
    ]);
    fits::<dyn Regularizer>(&[
        r#"{"type":"jacobian","weight":0.1}"#,
        r#"{"type":"fixed_point","weight":0.1}"#,
    ]);
}
