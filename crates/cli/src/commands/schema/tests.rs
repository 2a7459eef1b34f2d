//! The schema accepts every experiment of the repository, refuses what a run would, and is documented key by key.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use jsonschema::{Validator, validator_for};
use looped_config::sweep::Sweep;
use looped_core::Kind;
use looped_study::sweep::Plan;
use serde_json::{Value, json};

const KINDS: [&str; 10] = [
    "block",
    "injector",
    "task",
    "baseline",
    "optimizer",
    "schedule",
    "depth",
    "unroll",
    "loss",
    "regularizer",
];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn validator() -> Validator {
    validator_of(&looped_config::json_schema())
}

fn validator_of(schema: &Value) -> Validator {
    assert!(jsonschema::meta::is_valid(schema));
    validator_for(schema).unwrap()
}

#[track_caller]
fn accept_toml(validator: &Validator, experiment: &str, what: &str) {
    let experiment: Value = toml::from_str(experiment).unwrap();
    let errors: Vec<_> = validator
        .iter_errors(&experiment)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{what}: {errors:#?}");
}

/// Every TOML file below a folder, sorted.
fn toml_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(toml_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn every_experiment_and_every_run_of_every_sweep_is_valid() {
    let (validator, sweeps) = (validator(), validator_of(&looped_config::sweep::json_schema()));
    let (mut experiments, mut runs) = (0, 0);
    for path in toml_files(&repository().join("experiments")) {
        let shown = path.display().to_string();
        if Sweep::is_at(&path) {
            let sweep = Sweep::read(&path).unwrap();
            accept_toml(&sweeps, &sweep.text, &shown);
            let plan = Plan::new(&sweep, &[], Path::new("nowhere")).unwrap();
            for run in &plan.runs {
                accept_toml(&validator, &run.toml, &format!("{shown}, {}", run.label));
            }
            runs += plan.runs.len();
        } else {
            accept_toml(&validator, &fs::read_to_string(&path).unwrap(), &shown);
            let resolved = looped_config::load(&path, &[]).unwrap().experiment.to_toml().unwrap();
            accept_toml(&validator, &resolved, &format!("{shown}, resolved"));
            experiments += 1;
        }
    }
    assert!(experiments >= 15 && runs >= 100, "{experiments} experiments and {runs} runs of sweeps");
}

#[test]
fn what_a_run_refuses_the_schema_refuses() {
    let validator = validator();
    let quickstart = fs::read_to_string(repository().join("experiments/quickstart.toml")).unwrap();
    accept_toml(&validator, &quickstart, "the quickstart");
    let quickstart: Value = toml::from_str(&quickstart).unwrap();
    let broken: [(&str, Option<Value>); 9] = [
        ("/name", None),
        ("/training/batch_size", None),
        ("/training/batch_size", Some(json!(0))),
        ("/training/learning_rate", Some(json!(-1.0))),
        ("/training/learning_rat", Some(json!(1e-3))),
        ("/training/engine", Some(json!("warp"))),
        ("/model/block/type", Some(json!("transformr"))),
        ("/model/injector", Some(json!({ "type": "last_n", "n": "all" }))),
        ("/task/sparsity", Some(json!(2))),
    ];
    for (pointer, value) in broken {
        let mut experiment = quickstart.clone();
        let (table, key) = pointer.rsplit_once('/').unwrap();
        let table = experiment.pointer_mut(table).unwrap().as_object_mut().unwrap();
        match &value {
            Some(value) => table.insert(key.to_owned(), value.clone()),
            None => table.shift_remove(key),
        };
        assert!(!validator.is_valid(&experiment), "{pointer} = {value:?} passes");
    }
}

/// Every key of a schema's table, by its dotted path; `#/$defs` are looked into, parts by their tag.
fn keys(schema: &Value, table: &Value, path: &str, found: &mut BTreeSet<String>) {
    let Some(properties) = table["properties"].as_object() else { return };
    for (key, value) in properties {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        found.insert(path.clone());
        let target = value["$ref"].as_str().and_then(|to| schema.pointer(to.trim_start_matches('#')));
        if let Some(target) = target.filter(|target| target["oneOf"].is_null()) {
            keys(schema, target, &path, found);
            // A table that may be written in another form, too.
            for form in target["anyOf"].as_array().into_iter().flatten() {
                let form = form["$ref"].as_str().and_then(|to| schema.pointer(to.trim_start_matches('#')));
                form.into_iter().for_each(|form| keys(schema, form, &path, found));
            }
        }
    }
}

/// The keys of the experiment, and of each part as `kind tag: key`.
fn keys_of_the_schema() -> BTreeSet<String> {
    let schema = looped_config::json_schema();
    let mut found = BTreeSet::new();
    keys(&schema, &schema["$defs"]["experiment"], "", &mut found);
    found.insert("extends".to_owned());
    for kind in KINDS {
        for form in schema["$defs"][kind]["oneOf"].as_array().unwrap() {
            let tag = form["title"].as_str().unwrap();
            let own = form["properties"].as_object().unwrap().keys().filter(|key| *key != "type");
            found.extend(own.map(|key| format!("{kind} {tag}: {key}")));
            found.insert(format!("{kind} {tag}"));
        }
    }
    found
}

/// The same of `docs/experiment-file.md`: the first column of its tables, in backquotes, and for parts the second too.
fn keys_of_the_page() -> BTreeSet<String> {
    let page = fs::read_to_string(repository().join("docs/experiment-file.md")).unwrap();
    let mut found = BTreeSet::new();
    let mut kind = String::new();
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            let first = title.split(' ').next().unwrap().to_lowercase();
            kind =
                Kind::ALL.into_iter().find(|kind| kind.plural() == first).map_or("", Kind::name).to_owned();
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let Some(name) = cells.get(1).and_then(|cell| cell.strip_prefix('`')?.strip_suffix('`')) else {
            continue;
        };
        if KINDS.contains(&kind.as_str()) {
            found.insert(format!("{kind} {name}"));
            let quoted = cells[2].split('`').skip(1).step_by(2);
            found.extend(quoted.map(|key| format!("{kind} {name}: {key}")));
        } else {
            found.insert(name.to_owned());
        }
    }
    found
}

#[test]
fn every_key_is_documented_and_every_documented_key_is_there() {
    let (schema, page) = (keys_of_the_schema(), keys_of_the_page());
    let missing: Vec<_> = schema.difference(&page).collect();
    let unknown: Vec<_> = page.difference(&schema).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "not on the page: {missing:#?}\nnot in the schema: {unknown:#?}"
    );
}
