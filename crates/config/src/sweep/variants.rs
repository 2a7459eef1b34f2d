//! `[[variant]]`: named changes of the base.

use std::collections::HashSet;

use looped_core::Problems;

use crate::sweep::NamedVariant;
use crate::sweep::setting::{Setting, overlap, settings};

/// A change of the base experiment.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// `None` for the base as it is, under its own name.
    pub name: Option<String>,
    /// What it sets.
    pub settings: Vec<Setting>,
    /// Where in the sweep file it stands, for messages.
    pub place: String,
}

impl Variant {
    /// No change.
    #[must_use]
    pub fn base() -> Self {
        Self { name: None, settings: Vec::new(), place: "base".to_owned() }
    }
}

/// The variants of a sweep file's list.
pub(super) fn variants(named: &[NamedVariant], problems: &mut Problems) -> Vec<Variant> {
    let mut names = HashSet::new();
    let mut found = Vec::new();
    problems.within("variant", |problems| {
        for (i, NamedVariant { name, set }) in named.iter().enumerate() {
            problems.within(i.to_string(), |problems| {
                if !names.insert(name) {
                    problems.report("name", format!("{name:?} is another variant's already"));
                }
                let all = set.iter().flat_map(|(key, value)| settings(key, value));
                let settings: Vec<Setting> = all.collect();
                problems.within("set", |problems| check_settings(&settings, problems));
                found.push(Variant {
                    place: format!("variant {name:?}"),
                    name: Some(name.clone()),
                    settings,
                });
            });
        }
    });
    found
}

/// Refuses what one change can't set: the sweep's own keys, and one key twice.
pub(super) fn check_settings(settings: &[Setting], problems: &mut Problems) {
    for (i, setting) in settings.iter().enumerate() {
        match setting.key.as_str() {
            "seed" => problems.report("seed", "is the sweep's to set; list them as seeds = [0, 1, 2]"),
            "name" => problems.report("name", "is the sweep's to set: it is the variant's name"),
            key => {
                if let Some(other) = settings[..i].iter().find(|other| overlap(&other.key, key)) {
                    let how = if other.key == key {
                        "is set twice".to_owned()
                    } else {
                        format!("is set twice: by {} and by {key}", other.key)
                    };
                    problems.report(key, how);
                }
            }
        }
    }
}
