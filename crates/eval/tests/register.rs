//! The baselines as parts: tags, defaults, help, and settings that are refused.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use looped_core::{Baseline, Kind, Part, Problems};
use looped_eval::{all_baselines, default_baselines};

#[test]
fn every_baseline_is_registered_under_its_tag_with_a_line_of_help() {
    let parts = Part::of(Kind::Baseline);
    let tags: Vec<&str> = parts.iter().map(|part| part.tag).collect();
    assert_eq!(tags, ["averaging", "boosting", "knn", "lasso", "least_squares", "net", "ridge", "tree"]);
    for part in parts {
        assert!(part.help().len() > 20, "{}: {}", part.tag, part.help());
        let table = serde_json::json!({ "type": part.tag });
        let baseline: Box<dyn Baseline> = serde_json::from_value(table).unwrap();
        assert_eq!(baseline.typetag_name(), part.tag);
        let mut problems = Problems::new();
        baseline.validate(&mut problems);
        assert!(problems.is_empty(), "{problems}");
        let mut written = serde_json::to_value(&baseline).unwrap();
        let again: Box<dyn Baseline> = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(&again).unwrap(), written);
        written["no_such_key"] = 1.into();
        assert!(serde_json::from_value::<Box<dyn Baseline>>(written).is_err(), "{} swallows a key", part.tag);
    }
}

#[test]
fn names_are_those_of_the_interface() {
    let names = |list: Vec<Box<dyn Baseline>>| list.iter().map(|b| b.name()).collect::<Vec<_>>();
    assert_eq!(names(default_baselines()), ["least_squares", "averaging", "knn_3"]);
    assert_eq!(
        names(all_baselines())[3..],
        [
            "ridge_0.1",
            "lasso_1",
            "lasso_0.1",
            "lasso_0.01",
            "lasso_0.001",
            "lasso_0.0001",
            "tree_4",
            "boosting_100",
            "net_100"
        ]
    );
}

#[test]
fn settings_out_of_range_are_reported() {
    let refused = |table: serde_json::Value, expected: &str| {
        let baseline: Box<dyn Baseline> = serde_json::from_value(table).unwrap();
        let mut problems = Problems::new();
        baseline.validate(&mut problems);
        assert_eq!(problems.to_string(), expected);
    };
    refused(serde_json::json!({ "type": "knn", "k": 0 }), "k: is 0; allowed: 1 to 1000000");
    refused(serde_json::json!({ "type": "lasso", "alpha": 0.0 }), "alpha: is 0; allowed: finite, above 0");
    refused(serde_json::json!({ "type": "ridge", "alpha": -1.0 }), "alpha: is -1; allowed: finite, above 0");
    refused(serde_json::json!({ "type": "tree", "max_depth": 0 }), "max_depth: is 0; allowed: 1 to 1000");
}
