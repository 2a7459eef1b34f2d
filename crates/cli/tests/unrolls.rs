//! Ways through the loops, as a run has them: what is written and said of them, and the gate as a rule.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use common::Place;
use serde_json::Value;

fn lines(place: &Place, run: &str) -> Vec<Value> {
    place
        .read(&format!("{run}/metrics.jsonl"))
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn an_implicit_gradient_far_from_a_fixed_point_is_said_once_with_its_residual() {
    let place = Place::new();
    let implicit = ["training.unroll.type=implicit", "training.n_loop_window=1"];
    // Nothing holds the state: without a norm it grows from loop to loop.
    let grows = ["model.loop_norm=none", "model.injector={type=\"full\"}"];
    let run = [&["run", "tiny.toml", "--out", "grows"], &implicit[..], &grows[..]].concat();
    let said = place.looped(&run).ok().stderr;
    assert_eq!(said.matches("the loop isn't at a fixed point (residual ").count(), 1, "{said}");
    for line in lines(&place, "grows") {
        let notes = &line["notes"];
        assert!(notes["fixed_point_residual"].as_f64().unwrap() > 0.1, "{line}");
        assert!(notes["adjoint_residual"].is_f64(), "{line}");
    }

    let deep = ["training.curriculum.loops=60", "training.unroll.products=60"];
    let run = [&["run", "tiny.toml", "--out", "settles"], &implicit[..], &deep[..]].concat();
    let said = place.looped(&run).ok().stderr;
    assert!(!said.contains("isn't at a fixed point"), "{said}");
    assert!(lines(&place, "settles")[0]["notes"]["fixed_point_residual"].as_f64().unwrap() < 0.1);
}

#[test]
fn regularizers_write_their_values_and_change_the_training() {
    let place = Place::new();
    place.looped(&["run", "tiny.toml", "--out", "plain"]).ok();
    let terms = "training.regularizers=[{type=\"jacobian\", weight=0.5}, {type=\"fixed_point\", weight=0.5}]";
    place.looped(&["run", "tiny.toml", "--out", "regular", terms]).ok();
    let (plain, regular) = (lines(&place, "plain"), lines(&place, "regular"));
    assert!(plain.iter().all(|line| line.get("notes").is_none()));
    for line in &regular {
        for term in ["jacobian", "fixed_point"] {
            assert!(line["notes"][term].as_f64().unwrap() > 0.0, "{line}");
        }
    }
    let (first, other) = (plain[0]["loss"].as_f64().unwrap(), regular[0]["loss"].as_f64().unwrap());
    let notes = &regular[0]["notes"];
    let terms = 0.5 * (notes["jacobian"].as_f64().unwrap() + notes["fixed_point"].as_f64().unwrap());
    assert!((other - first - terms).abs() < 1e-5, "{other} is {first} and {terms}");
}

#[test]
fn a_gate_learns_and_is_a_rule_among_the_others() {
    let place = Place::new();
    let gate = ["model.exit_gate={}", "training.loss={type=\"exit_weighted\", beta=0.05}"];
    let run = [&["run", "tiny.toml", "--out", "run", "training.n_loop_window=4"], &gate[..]].concat();
    place.looped(&run).ok();
    // What is evaluated and predicted is one number, as without a gate.
    let eval: Value = serde_json::from_str(&place.read("run/eval.json")).unwrap();
    assert_eq!(eval["per_loop"]["mean"].as_array().unwrap().len(), 4);
    let json = place.looped(&["exits", "run", "--threshold", "0.5", "--json"]).ok().stdout;
    let found: Value = serde_json::from_str(&json).unwrap();
    let rules: Vec<&str> =
        found["rules"].as_array().unwrap().iter().map(|rule| rule["name"].as_str().unwrap()).collect();
    assert_eq!(rules, ["prediction", "state", "acceleration", "context", "gate"]);
    // At first a loop is the last with probability 1/21. Twelve steps hardly change that, so after four loops it still goes on more likely than
    // not.
    assert_eq!(found["rules"][4]["at_threshold"]["mean_loops"], 4.0);
    place.looped(&["resume", "run", "training.train_steps=16"]).ok();
}
