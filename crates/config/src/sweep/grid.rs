//! `[axes]`: a list of values for each key, and every combination of them a variant.

use std::collections::{BTreeSet, HashSet};

use looped_core::Problems;
use toml::{Table, Value};

use crate::sweep::setting::{overlap, settings};
use crate::sweep::variants::{Variant, check_settings};

/// More combinations than anybody runs; a typo can ask for billions.
const MOST: usize = 10_000;

/// Longest name that a run may have, in bytes.
const LONGEST_NAME: usize = 100;

/// A key with its values.
#[derive(Debug)]
struct Axis {
    key: String,
    values: Vec<Value>,
}

/// The combinations, the last axis changing fastest.
pub(super) fn grid(axes: &Table, problems: &mut Problems) -> Vec<Variant> {
    let mut found = Vec::new();
    problems.within("axes", |problems| {
        if axes.is_empty() {
            problems.report("", "is empty; list values for a key, as in \"model.n_layer\" = [1, 2, 4]");
        }
        collect("", axes, &mut found, problems);
        refuse_overlaps(&found, problems);
    });
    let count = found.iter().fold(1_usize, |count, axis| count.saturating_mul(axis.values.len()));
    problems.require(count <= MOST, "axes", || format!("make {count} variants; at most {MOST}"));
    if !problems.is_empty() {
        return Vec::new();
    }
    let short = short_keys(&found);
    let mut points: Vec<Vec<&Value>> = vec![Vec::new()];
    for axis in &found {
        points = points
            .into_iter()
            .flat_map(|point| axis.values.iter().map(move |value| [point.clone(), vec![value]].concat()))
            .collect();
    }
    let variant = |(i, point): (usize, Vec<&Value>)| Variant {
        name: Some(name(&short, &point).unwrap_or_else(|| format!("combination {}", i + 1))),
        settings: found.iter().zip(&point).flat_map(|(axis, value)| settings(&axis.key, value)).collect(),
        place: "axes".to_owned(),
    };
    points.into_iter().enumerate().map(variant).collect()
}

/// The axes of a table, whose dotted keys TOML may have nested.
fn collect(prefix: &str, table: &Table, found: &mut Vec<Axis>, problems: &mut Problems) {
    for (key, value) in table {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(inner) if !inner.contains_key("type") => collect(&key, inner, found, problems),
            Value::Array(values) if !values.is_empty() => {
                let mut seen = HashSet::new();
                for (i, value) in
                    values.iter().enumerate().filter(|(_, value)| !seen.insert(value.to_string()))
                {
                    problems.report(&key, format!("lists {value} twice (entry {})", i + 1));
                }
                found.push(Axis { key, values: values.clone() });
            }
            Value::Array(_) => problems.report(&key, "is an empty list; an axis needs values"),
            _ => problems.report(&key, format!("is {value}; an axis is a list of values, as in [{value}]")),
        }
    }
}

/// Refuses axes of which one would undo what another sets: the names of the variants would not say what they are.
fn refuse_overlaps(axes: &[Axis], problems: &mut Problems) {
    let of = |value: &Value, axis: &Axis| settings(&axis.key, value);
    for axis in axes {
        for value in &axis.values {
            check_settings(&of(value, axis), problems);
            if !problems.is_empty() {
                return;
            }
        }
    }
    let keys_of = |axis: &Axis| -> BTreeSet<String> {
        let all = axis.values.iter().flat_map(|value| of(value, axis));
        all.map(|setting| setting.key).collect()
    };
    let keys: Vec<BTreeSet<String>> = axes.iter().map(keys_of).collect();
    let pairs = (0..axes.len()).flat_map(|later| (0..later).map(move |earlier| (earlier, later)));
    for (earlier, later) in pairs {
        let clash = keys[later]
            .iter()
            .find_map(|key| keys[earlier].iter().find(|other| overlap(other, key)).map(|other| (other, key)));
        if let Some((other, key)) = clash {
            let both = if other == key {
                format!("both set {key}")
            } else {
                format!("{other} and {key} can't both be set")
            };
            problems.report(
                &axes[later].key,
                format!(
                    "overlaps the axis {}: {both}; make one axis of them, or write [[variant]]s",
                    axes[earlier].key
                ),
            );
        }
    }
}

/// The last word of each key, or the whole key where two end alike.
fn short_keys(axes: &[Axis]) -> Vec<&str> {
    let last = |axis: &Axis| axis.key.rsplit('.').next().unwrap_or_default().to_owned();
    let alone = |axis: &&Axis| axes.iter().filter(|other| last(other) == last(axis)).count() == 1;
    let short =
        |axis| if alone(&axis) { axis.key.rsplit('.').next().unwrap_or(&axis.key) } else { &axis.key };
    axes.iter().map(short).collect()
}

/// As in `n_layer=2, injector=last_n n=20`; nothing where that is too long for a folder's name.
fn name(keys: &[&str], point: &[&Value]) -> Option<String> {
    let one = |(key, value): (&&str, &&Value)| format!("{key}={}", words(value));
    let name = keys.iter().zip(point).map(one).collect::<Vec<_>>().join(", ");
    (name.len() <= LONGEST_NAME).then_some(name)
}

/// A value in letters that a folder's name may have.
fn words(value: &Value) -> String {
    match value {
        Value::String(text) => {
            let fits = |c: char| if c.is_control() || "/\\<>:\"|?*".contains(c) { '_' } else { c };
            text.trim_matches(['.', '/', ' ']).chars().map(fits).collect()
        }
        Value::Array(items) => items.iter().map(words).collect::<Vec<_>>().join(" "),
        Value::Table(table) => {
            let one = |(key, value): (&String, &Value)| match key.as_str() {
                "type" => words(value),
                _ => format!("{key}={}", words(value)),
            };
            table.iter().map(one).collect::<Vec<_>>().join(" ")
        }
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> (Vec<Variant>, String) {
        let table: Table = toml::from_str(text).unwrap();
        let mut problems = Problems::new();
        (grid(&table, &mut problems), problems.to_string())
    }

    #[test]
    fn every_combination_has_a_name_that_says_it() {
        let (variants, problems) =
            of("'model.n_layer' = [1, 2]\nmodel.injector = [{type='full'}, {type='last_n', n=20}]");
        assert_eq!(problems, "");
        let names: Vec<&str> = variants.iter().filter_map(|variant| variant.name.as_deref()).collect();
        assert_eq!(
            names,
            [
                "n_layer=1, injector=full",
                "n_layer=1, injector=last_n n=20",
                "n_layer=2, injector=full",
                "n_layer=2, injector=last_n n=20"
            ]
        );
        let settings: Vec<String> = variants[3].settings.iter().map(ToString::to_string).collect();
        assert_eq!(settings, ["model.n_layer=2", r#"model.injector={ type = "last_n", n = 20 }"#]);
    }

    #[test]
    fn keys_that_end_alike_are_written_out() {
        let (variants, _) = of("'training.curriculum.loops.end' = [5]\n'training.curriculum.dims.end' = [2]");
        let name = variants[0].name.as_deref();
        assert_eq!(name, Some("training.curriculum.loops.end=5, training.curriculum.dims.end=2"));
    }

    #[test]
    fn what_is_no_grid_is_refused() {
        for (text, message) in [
            ("", "axes: is empty"),
            ("a = []", "axes.a: is an empty list"),
            ("a.b = 3", "axes.a.b: is 3; an axis is a list of values, as in [3]"),
            ("a = [1, 2, 1]", "axes.a: lists 1 twice (entry 3)"),
            ("seed = [1]", "axes.seed: is the sweep's to set"),
            (
                "'m.block.n_head' = [1, 2]\n'm.block' = [{ type = 'lstm' }]",
                "axes.m.block: overlaps the axis m.block.n_head: m.block.n_head and m.block can't both be set",
            ),
            (
                "t = [{ rate = 0.1 }, { size = 2 }]\n't.size' = [1, 2]",
                "axes.t.size: overlaps the axis t: both set t.size",
            ),
            ("'m.n' = [1, 2]\nm.n = [3]", "axes.m.n: overlaps the axis m.n"),
            ("m = [{ n = 1, 'n.k' = 2 }]", "axes.m.n.k: is set twice: by m.n and by m.n.k"),
        ] {
            let (variants, problems) = of(text);
            assert!(variants.is_empty() && problems.starts_with(message), "{problems}");
        }
        let wide = |key: &str| format!("{key} = {:?}\n", (0..200).collect::<Vec<_>>());
        assert!(of(&["a", "b", "c"].map(wide).concat()).1.contains("make 8000000 variants"));
    }
}
