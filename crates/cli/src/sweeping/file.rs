//! The sweep file: a base experiment, seeds, and variants or axes.

use std::path::{Path, PathBuf};

use looped_core::{Problems, nearest};
use toml::{Table, Value};

use crate::failure::{Failure, Outcome};
use crate::sweeping::grid::grid;
use crate::sweeping::variants::{Variant, variants};

/// A sweep file, read.
#[derive(Debug)]
pub(crate) struct SweepFile {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    /// The experiment that the variants change.
    pub(crate) base: PathBuf,
    pub(crate) seeds: Vec<u64>,
    /// At least one.
    pub(crate) variants: Vec<Variant>,
}

impl SweepFile {
    /// Whether a file is a sweep rather than an experiment: only a sweep has a base, or seeds.
    pub(crate) fn is_at(path: &Path) -> bool {
        let table = std::fs::read_to_string(path).ok().and_then(|text| toml::from_str::<Table>(&text).ok());
        table.is_some_and(|table| table.contains_key("base") || table.contains_key("seeds"))
    }

    /// Reads a file; everything that is wrong with it is told at once.
    pub(crate) fn read(path: &Path) -> Outcome<Self> {
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("{shown}: cannot be read: {error}")))?;
        let table: Table = toml::from_str(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.map_or(1, |before| before.matches('\n').count() + 1);
            Failure::usage(format!("{shown}: line {line}: {}", error.message().trim().replace('\n', "; ")))
        })?;
        let mut problems = Problems::new();
        let folder = path.parent().unwrap_or(Path::new(""));
        check_keys(&table, &["base", "seeds", "variant", "axes"], &mut problems);
        let file = Self {
            path: path.to_owned(),
            base: base(&table, folder, &mut problems),
            seeds: seeds(&table, &mut problems),
            variants: changes(&table, folder, &mut problems),
            text,
        };
        if problems.is_empty() {
            return Ok(file);
        }
        let lines = problems.found().iter().map(|found| match found.path.as_str() {
            "" => format!("{shown}: {}", found.message),
            key => format!("{shown}: {key}: {}", found.message),
        });
        Err(Failure::usage(lines.collect::<Vec<_>>().join("\n")))
    }
}

/// Reports keys that aren't allowed, with the nearest that is.
pub(crate) fn check_keys(table: &Table, allowed: &[&str], problems: &mut Problems) {
    for key in table.keys().filter(|key| !allowed.contains(&key.as_str())) {
        let meant = nearest(key, allowed.iter().copied());
        let meant = meant.map_or_else(String::new, |name| format!(" did you mean {name}?"));
        problems.report(key, format!("is unknown;{meant} Allowed: {}", allowed.join(", ")));
    }
}

fn base(table: &Table, folder: &Path, problems: &mut Problems) -> PathBuf {
    match table.get("base") {
        Some(Value::String(path)) => return folder.join(path),
        Some(_) => problems.report("base", "must be the path of an experiment file, in quotes"),
        None => problems.report("base", "is missing; name the experiment file that the variants change"),
    }
    PathBuf::new()
}

fn seeds(table: &Table, problems: &mut Problems) -> Vec<u64> {
    const ADVICE: &str = "list one or more whole numbers, as in seeds = [0, 1, 2]";
    let Some(list) = table.get("seeds") else {
        problems.report("seeds", format!("is missing; {ADVICE}"));
        return Vec::new();
    };
    let number = |value: &Value| value.as_integer().and_then(|seed| u64::try_from(seed).ok());
    let seeds: Option<Vec<u64>> = list.as_array().and_then(|list| list.iter().map(number).collect());
    let seeds = seeds.unwrap_or_default();
    problems.require(!seeds.is_empty(), "seeds", || format!("is {list}; {ADVICE}"));
    for (i, seed) in seeds.iter().enumerate().filter(|(i, seed)| seeds[..*i].contains(seed)) {
        problems.report("seeds", format!("lists {seed} twice (entry {})", i + 1));
    }
    seeds
}

/// The variants, those of the grid, or the base alone.
fn changes(table: &Table, folder: &Path, problems: &mut Problems) -> Vec<Variant> {
    match (table.get("variant"), table.get("axes")) {
        (Some(_), Some(_)) => {
            problems.report("axes", "stands beside [[variant]]; a sweep has variants or axes, not both");
            Vec::new()
        }
        (Some(listed), None) => variants(listed, folder, problems),
        (None, Some(axes)) => grid(axes, folder, problems),
        (None, None) => vec![Variant::base()],
    }
}
