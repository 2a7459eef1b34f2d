//! Whatever the files hold that commands read, the answer is a result or a message.
//!
//! `PROPTEST_CASES=100000 cargo test -p looped-study never_panics` makes a campaign of it.

use std::fs;
use std::path::Path;

use looped_config::sweep::Sweep;
use looped_report::report::Part;
use looped_train::RunDir;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;

use crate::comparison::Comparison;
use crate::run_report;

const SWEEP: &str = r#"
base = "tiny.toml"
seeds = [0, 1]
[axes]
"model.n_layer" = [1, 2]
"model.injector" = [{ type = "full" }, { type = "last_n", n = 4 }]
[[variant]]
name = "last 4"
set = { "model.injector" = { type = "last_n", n = 4 }, training.learning_rate = 1e-3 }
"#;

/// A change to a file that is text: some of it taken out, something else put there.
fn edit() -> impl Strategy<Value = (Index, usize, String)> {
    let words = [
        "",
        "[",
        "]",
        "{",
        "}",
        "\"",
        "=",
        "\n",
        "[[variant]]",
        "[axes]",
        "9999999999999999999999",
        "-1",
        "nan",
    ];
    let insert = prop_oneof![select(words.to_vec()).prop_map(str::to_owned), any::<String>()];
    (any::<Index>(), 0usize..30, insert)
}

fn edited(text: &str, edits: &[(Index, usize, String)]) -> String {
    edits.iter().fold(text.to_owned(), |text, (at, cut, insert)| {
        let characters: Vec<char> = text.chars().collect();
        let start = at.index(characters.len() + 1);
        let end = (start + cut).min(characters.len());
        let part = |part: &[char]| part.iter().collect::<String>();
        part(&characters[..start]) + insert + &part(&characters[end..])
    })
}

/// A change somewhere in a JSON value, which stays JSON.
#[derive(Clone, Debug)]
enum Change {
    Replace(Value),
    Remove,
    Double,
}

fn change() -> impl Strategy<Value = (Vec<Index>, Change)> {
    let huge =
        [Value::Null, 0.into(), (-1).into(), u64::MAX.into(), 1e300.into(), "x".into(), Value::Array(vec![])];
    let change = prop_oneof![
        select(huge.to_vec()).prop_map(Change::Replace),
        Just(Change::Remove),
        Just(Change::Double)
    ];
    (vec(any::<Index>(), 1..6), change)
}

/// Changes what the path leads to, or the last thing on the way that is there.
fn apply(value: &mut Value, path: &[Index], change: &Change) {
    let Some((step, rest)) = path.split_first() else { return };
    match value {
        Value::Array(items) if !items.is_empty() => {
            let at = step.index(items.len());
            match change {
                _ if !rest.is_empty() && (items[at].is_array() || items[at].is_object()) => {
                    apply(&mut items[at], rest, change);
                }
                Change::Replace(new) => items[at] = new.clone(),
                Change::Remove => drop(items.remove(at)),
                Change::Double => items.push(items[at].clone()),
            }
        }
        Value::Object(fields) if !fields.is_empty() => {
            let key = fields.keys().nth(step.index(fields.len())).unwrap().clone();
            match change {
                _ if !rest.is_empty() && (fields[&key].is_array() || fields[&key].is_object()) => {
                    apply(&mut fields[&key], rest, change);
                }
                Change::Replace(new) => drop(fields.insert(key, new.clone())),
                Change::Remove => drop(fields.remove(&key)),
                Change::Double => {
                    let copy = fields[&key].clone();
                    fields.insert(format!("{key}2"), copy);
                }
            }
        }
        _ => {}
    }
}

fn changed(text: &str, changes: &[(Vec<Index>, Change)]) -> String {
    let mut value: Value = serde_json::from_str(text).unwrap();
    changes.iter().for_each(|(path, change)| apply(&mut value, path, change));
    value.to_string()
}

fn golden(file: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/run");
    fs::read_to_string(folder.join(file)).unwrap()
}

/// Reads a run with these files as `compare` and `eval --save` do; the drawings are made where that is asked for.
fn read_run(files: &[(&str, &str)], draw: bool) {
    let place = tempfile::tempdir().unwrap();
    for file in ["config.toml", "metrics.jsonl", "eval.json", "eval_ood.json"] {
        let changed = files.iter().find(|(name, _)| *name == file).map(|(_, text)| (*text).to_owned());
        fs::write(place.path().join(file), changed.unwrap_or_else(|| golden(file))).unwrap();
    }
    if let Ok(comparison) = Comparison::of(&[place.path().to_owned()]) {
        let _ = comparison.tables();
    }
    let run = RunDir::open(place.path()).unwrap();
    let Ok(loaded) = looped_config::load(run.config(), &[]) else { return };
    let Ok(report) = run_report::report(&loaded.experiment, &run) else { return };
    for part in report.sections.into_iter().flat_map(|section| section.parts) {
        if let Part::Plot { figure, .. } = part
            && draw
        {
            let _ = figure.svg();
        }
    }
}

proptest! {
    #[test]
    fn sweep_files(edits in vec(edit(), 0..4), text in any::<String>(), is_text in prop::bool::weighted(0.1)) {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("sweep.toml");
        fs::write(&path, if is_text { text } else { edited(SWEEP, &edits) }).unwrap();
        let _ = Sweep::read(&path);
    }

    #[test]
    fn evaluations(changes in vec(change(), 1..4), edits in vec(edit(), 0..2), of_shifts in any::<bool>(), draw in prop::bool::weighted(0.02)) {
        let file = if of_shifts { "eval_ood.json" } else { "eval.json" };
        let text = edited(&changed(&golden(file), &changes), &edits);
        read_run(&[(file, &text)], draw);
    }

    #[test]
    fn metrics(at in any::<Index>(), changes in vec(change(), 1..4), edits in vec(edit(), 0..2), draw in prop::bool::weighted(0.02)) {
        let text = golden("metrics.jsonl");
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let at = at.index(lines.len());
        lines[at] = changed(&lines[at], &changes);
        read_run(&[("metrics.jsonl", &edited(&(lines.join("\n") + "\n"), &edits))], draw);
    }
}
