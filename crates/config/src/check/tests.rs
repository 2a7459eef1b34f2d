//! Our checker and a JSON Schema validator of somebody else's agree on every experiment.
//!
//! `PROPTEST_CASES=100000 cargo test -p looped-config agree` makes a campaign of it.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use figment::value::Value;
use jsonschema::{Validator, validator_for};
use looped_blocks as _;
use looped_core::{Part, Problems};
use looped_cpu as _;
use looped_eval as _;
use looped_reference as _;
use looped_tasks as _;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use schemars::schema_for;
use serde_json::{Map, Value as Json, json};

use super::check;
use crate::{Experiment, json_schema};

static THEIRS: LazyLock<Validator> = LazyLock::new(|| validator_for(&json_schema()).unwrap());
static OURS: LazyLock<Json> = LazyLock::new(|| schema_for!(Experiment).to_value());

fn good() -> Json {
    json!({
        "name": "good",
        "task": { "type": "linear_regression" },
        "model": {
            "n_dims": 4, "n_positions": 11, "n_embd": 16, "n_layer": 1,
            "block": { "type": "transformer", "n_head": 2 },
            "injector": { "type": "last_n", "n": 6 },
        },
        "training": {
            "batch_size": 8, "learning_rate": 0.001, "train_steps": 100, "n_loop_window": 3,
            "curriculum": {
                "dims": { "start": 2, "end": 4, "inc": 1, "interval": 10 },
                "points": { "start": 5, "end": 11, "inc": 2, "interval": 10 },
                "loops": { "start": 2, "end": 6, "inc": 1, "interval": 10 },
            },
        },
        "evaluation": { "baselines": [{ "type": "knn", "k": 3 }] },
    })
}

fn ours(experiment: &Json) -> Problems {
    let mut problems = Problems::new();
    check(&Value::serialize(experiment).unwrap(), &OURS, &mut problems);
    problems
}

/// Values of every kind. No whole number is written with a point: JSON Schema takes 64.0 for an integer, serde doesn't.
fn any_value() -> impl Strategy<Value = Json> {
    let words = ["", "add", "fused", "f32", "knn", "last_n", "x.safetensors"];
    prop_oneof![
        (-3i64..4).prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        select(vec![1e-9, 0.5, -0.5, 1000.5]).prop_map(Json::from),
        select(words.to_vec()).prop_map(Json::from),
        any::<bool>().prop_map(Json::from),
        Just(Json::Null),
        Just(json!([])),
        Just(json!({})),
        any_part(),
    ]
}

/// A number at or next to a limit that a schema names.
fn at_a_limit(property: &Json, which: &Index) -> Json {
    let limits = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"];
    let named: Vec<&Json> = limits.iter().filter_map(|limit| property.get(limit)).collect();
    let whole = property["type"] == "integer";
    match named.get(which.index(named.len() + 1)) {
        None => json!(1),
        Some(limit) => match (limit.as_i64(), which.index(3)) {
            (Some(n), step) => json!(n + step as i64 - 1),
            (None, 0) if !whole => json!(limit.as_f64().unwrap() * 0.9999),
            (None, 1) if !whole => json!(limit.as_f64().unwrap() * 1.0001),
            _ => (*limit).clone(),
        },
    }
}

/// A table that names a part, with some of its keys at their limits.
fn any_part() -> BoxedStrategy<Json> {
    let mut parts: Vec<&'static Part> = Part::all();
    parts.retain(|part| part.kind.is_table());
    (select(parts), any::<[(bool, Index); 5]>(), any::<bool>())
        .prop_map(|(part, keys, with_type)| {
            let schema = (part.schema)().to_value();
            let mut table = Map::new();
            if with_type {
                table.insert("type".to_owned(), part.tag.into());
            }
            let properties = schema["properties"].as_object().cloned().unwrap_or_default();
            for ((key, property), (given, which)) in properties.iter().zip(keys) {
                if given {
                    table.insert(key.clone(), at_a_limit(property, &which));
                }
            }
            Json::Object(table)
        })
        .boxed()
}

#[derive(Clone, Debug)]
enum Change {
    Set(Json),
    Remove,
    Rename(&'static str),
}

fn change() -> impl Strategy<Value = (Vec<Index>, Change)> {
    let names = ["lr", "n_heads", "seed", "type", "threads", "std", "k", "loops"];
    let change = prop_oneof![
        4 => any_value().prop_map(Change::Set),
        1 => Just(Change::Remove),
        1 => select(names.to_vec()).prop_map(Change::Rename),
    ];
    (proptest::collection::vec(any::<Index>(), 1..5), change)
}

/// Changes what the path leads to, or the last thing on the way that is there.
fn apply(value: &mut Json, path: &[Index], change: &Change) {
    let Some((step, rest)) = path.split_first() else { return };
    let holds_more = |value: &Json| value.as_object().is_some_and(|table| !table.is_empty());
    match value {
        Json::Array(items) if !items.is_empty() => {
            let at = step.index(items.len());
            if !rest.is_empty() && holds_more(&items[at]) {
                return apply(&mut items[at], rest, change);
            }
            match change {
                Change::Set(new) => items[at] = new.clone(),
                Change::Remove | Change::Rename(_) => drop(items.remove(at)),
            }
        }
        Json::Object(table) if !table.is_empty() => {
            let key = table.keys().nth(step.index(table.len())).unwrap().clone();
            if !rest.is_empty() && (holds_more(&table[&key]) || table[&key].is_array()) {
                return apply(&mut table[&key], rest, change);
            }
            match change {
                Change::Set(new) => drop(table.insert(key, new.clone())),
                Change::Remove => drop(table.shift_remove(&key)),
                Change::Rename(name) => {
                    let value = table.shift_remove(&key).unwrap();
                    table.insert((*name).to_owned(), value);
                }
            }
        }
        _ => {}
    }
}

/// Every place where an experiment holds a value at a key of its schema.
fn with_key(mut experiment: Json, table: &str, key: &str, value: Json) -> Json {
    experiment.pointer_mut(table).unwrap().as_object_mut().unwrap().insert(key.to_owned(), value);
    experiment
}

#[track_caller]
fn agree(experiment: &Json) {
    let problems = ours(experiment);
    let theirs: Vec<String> =
        THEIRS.iter_errors(experiment).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert_eq!(
        problems.is_empty(),
        theirs.is_empty(),
        "we say {problems:?}, they say {theirs:?} of {experiment:#}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn both_agree_on_changed_experiments(changes in proptest::collection::vec(change(), 0..4)) {
        let mut experiment = good();
        changes.iter().for_each(|(path, change)| apply(&mut experiment, path, change));
        agree(&experiment);
    }

    #[test]
    fn both_agree_on_parts(part in any_part()) {
        for (table, key) in [("/model", "block"), ("/model", "injector"), ("", "task")] {
            agree(&with_key(good(), table, key, part.clone()));
        }
        agree(&with_key(good(), "/evaluation", "baselines", json!([part])));
    }
}

#[test]
fn both_accept_the_good_experiment() {
    assert!(ours(&good()).is_empty());
    agree(&good());
    for (key, refused) in [("alpha", json!(0)), ("alpha", json!(0.0)), ("alpha", json!(-1))] {
        let baselines = json!([{ "type": "ridge", key: refused }]);
        let experiment = with_key(good(), "/evaluation", "baselines", baselines);
        assert!(!ours(&experiment).is_empty());
        agree(&experiment);
    }
}

/// A keyword that the checker doesn't know would be passed over in silence.
#[test]
fn every_keyword_of_every_schema_is_known() {
    const CHECKED: [&str; 25] = [
        "$ref",
        "$defs",
        "additionalProperties",
        "allOf",
        "anyOf",
        "const",
        "enum",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "format",
        "items",
        "maxItems",
        "maxLength",
        "maximum",
        "minItems",
        "minLength",
        "minimum",
        "multipleOf",
        "oneOf",
        "pattern",
        "prefixItems",
        "properties",
        "required",
        "type",
        "uniqueItems",
    ];
    const SAYS_NOTHING: [&str; 6] =
        ["$schema", "default", "description", "examples", "title", looped_core::parts::PART_KEY];
    fn keywords(schema: &Json, found: &mut BTreeSet<String>) {
        let Some(schema) = schema.as_object() else { return };
        for (keyword, value) in schema {
            found.insert(keyword.clone());
            match (keyword.as_str(), value) {
                ("properties" | "$defs", Json::Object(inner)) => {
                    inner.values().for_each(|inner| keywords(inner, found))
                }
                ("default" | "examples" | "const" | "enum", _) => {}
                (_, Json::Array(all)) => all.iter().for_each(|inner| keywords(inner, found)),
                (_, inner) => keywords(inner, found),
            }
        }
    }
    let mut found = BTreeSet::new();
    keywords(&OURS, &mut found);
    keywords(&crate::translate::schema(), &mut found);
    Part::all().iter().for_each(|part| keywords(&(part.schema)().to_value(), &mut found));
    let known: BTreeSet<String> = CHECKED.iter().chain(&SAYS_NOTHING).map(|&name| name.to_owned()).collect();
    let unknown: Vec<_> = found.difference(&known).collect();
    assert!(found.len() > 10 && unknown.is_empty(), "the checker passes over {unknown:?}");
}
