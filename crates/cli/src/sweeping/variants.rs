//! `[[variant]]`: named changes of the base.

use std::path::Path;

use looped_core::Problems;
use toml::{Table, Value};

use crate::sweeping::file::check_keys;
use crate::sweeping::setting::{Setting, settings};

/// A change of the base experiment.
#[derive(Clone, Debug)]
pub(crate) struct Variant {
    /// `None` for the base as it is, under its own name.
    pub(crate) name: Option<String>,
    pub(crate) settings: Vec<Setting>,
    /// Where in the sweep file it stands, for messages.
    pub(crate) place: String,
}

impl Variant {
    /// No change.
    pub(crate) fn base() -> Self {
        Self { name: None, settings: Vec::new(), place: "base".to_owned() }
    }
}

/// The variants of a list of tables.
pub(crate) fn variants(listed: &Value, folder: &Path, problems: &mut Problems) -> Vec<Variant> {
    let tables: Option<Vec<&Table>> =
        listed.as_array().and_then(|list| list.iter().map(Value::as_table).collect());
    let Some(tables) = tables.filter(|tables| !tables.is_empty()) else {
        problems.report("variant", "holds no variant; write [[variant]] with a name and what to set");
        return Vec::new();
    };
    let mut found: Vec<Variant> = Vec::new();
    for (i, table) in tables.into_iter().enumerate() {
        problems.within(format!("variant {}", i + 1), |problems| {
            check_keys(table, &["name", "set"], problems);
            let name = match table.get("name") {
                Some(Value::String(name)) if !name.is_empty() => name.clone(),
                Some(_) => return problems.report("name", "must be text, in quotes"),
                None => return problems.report("name", "is missing; it names the curve in the plots"),
            };
            if found.iter().any(|other| other.name.as_ref() == Some(&name)) {
                return problems.report("name", format!("{name:?} is another variant's already"));
            }
            let settings = set(table, folder, problems);
            found.push(Variant { place: format!("variant {name:?}"), name: Some(name), settings });
        });
    }
    found
}

fn set(table: &Table, folder: &Path, problems: &mut Problems) -> Vec<Setting> {
    let Some(set) = table.get("set") else { return Vec::new() };
    let Some(set) = set.as_table() else {
        problems.report("set", "must be a table, as in set = { \"model.n_layer\" = 2 }");
        return Vec::new();
    };
    let all: Vec<Setting> = set.iter().flat_map(|(key, value)| settings(key, value, folder)).collect();
    problems
        .within("set", |problems| all.iter().for_each(|setting| refuse_the_sweeps_own(setting, problems)));
    all
}

/// Name and seed of a run are the sweep's to set.
pub(crate) fn refuse_the_sweeps_own(setting: &Setting, problems: &mut Problems) {
    match setting.key.as_str() {
        "seed" => problems.report("seed", "is the sweep's to set; list them as seeds = [0, 1, 2]"),
        "name" => problems.report("name", "is the sweep's to set: it is the variant's name"),
        _ => {}
    }
}
