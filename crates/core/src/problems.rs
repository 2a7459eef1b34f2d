//! Everything that is wrong with a config, collected so that one look fixes it all.

use std::fmt;
use std::ops::RangeInclusive;

/// One thing wrong with a config: where, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Dotted path of the key, as in `model.block.n_head`; empty for the whole file.
    pub path: String,
    /// What is wrong, and which values are allowed.
    pub message: String,
    /// Which half of `key = value` is wrong.
    pub subject: Subject,
}

/// Which half of `key = value` a [`Problem`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The key, as one that nobody knows.
    Key,
    /// The value; or the key is missing.
    Value,
}

/// The problems found so far, and the path at which the next one will be reported.
#[derive(Clone, Debug, Default)]
pub struct Problems {
    found: Vec<Problem>,
    path: Vec<String>,
}

impl Problems {
    /// No problems yet, at the root of the config.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `check` with `key` added to the path of what it reports.
    pub fn within<T>(&mut self, key: impl Into<String>, check: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(key.into());
        let result = check(self);
        self.path.pop();
        result
    }

    /// Reports a problem with the value of `key` (empty: with the table itself) at the present path.
    pub fn report(&mut self, key: &str, message: impl Into<String>) {
        self.push(key, message.into(), Subject::Value);
    }

    /// Reports a problem with `key` itself, whatever its value is.
    pub fn report_key(&mut self, key: &str, message: impl Into<String>) {
        self.push(key, message.into(), Subject::Key);
    }

    /// Takes over what was found by itself in the table at the present path.
    pub fn adopt(&mut self, others: Self) {
        for Problem { path, message, subject } in others.found {
            self.push(&path, message, subject);
        }
    }

    fn push(&mut self, key: &str, message: String, subject: Subject) {
        let here = self.path.iter().map(String::as_str);
        let path: Vec<&str> = here.chain([key]).filter(|part| !part.is_empty()).collect();
        self.found.push(Problem { path: path.join("."), message, subject });
    }

    /// The keys that lead to the table being checked.
    #[must_use]
    pub fn path(&self) -> &[String] {
        &self.path
    }

    /// Reports a problem unless `holds`.
    pub fn require(&mut self, holds: bool, key: &str, message: impl FnOnce() -> String) {
        if !holds {
            self.report(key, message());
        }
    }

    /// Reports a number outside of `allowed`, as in `is 0; allowed: 1 to 64`.
    pub fn require_in<T: PartialOrd + fmt::Display>(
        &mut self,
        value: T,
        allowed: RangeInclusive<T>,
        key: &str,
    ) {
        self.require(allowed.contains(&value), key, || {
            format!("is {value}; allowed: {} to {}", allowed.start(), allowed.end())
        });
    }

    /// Reports a number that isn't finite and above 0.
    pub fn require_positive(&mut self, value: f64, key: &str) {
        self.require(value.is_finite() && value > 0.0, key, || {
            format!("is {value}; allowed: finite, above 0")
        });
    }

    /// Whether nothing was reported.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The problems, in the order of their reports.
    #[must_use]
    pub fn found(&self) -> &[Problem] {
        &self.found
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.found.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            if !problem.path.is_empty() {
                write!(f, "{}: ", problem.path)?;
            }
            write!(f, "{}", problem.message)?;
        }
        Ok(())
    }
}

/// The known name that `unknown` most likely stands for: one that differs in a letter or two, else the shortest that it
/// begins or that holds all its words, as `noisy_linear_regression` holds those of `noisy_linear`.
#[must_use]
pub fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let known: Vec<&str> = known.into_iter().collect();
    let unknown = unknown.to_lowercase().replace(['-', ' '], "_");
    let letters = |name: &str| name.replace('_', "");
    let slips = known.iter().filter_map(|&name| {
        let own = name.to_lowercase();
        let distance = strsim::damerau_levenshtein(&unknown, &own);
        // Of two as near, the one that differs in an underscore: `lastn` is `last_n`, not `last`.
        let in_letters = strsim::damerau_levenshtein(&letters(&unknown), &letters(&own));
        (distance <= 1.max(name.len().min(unknown.len()) / 3)).then_some((distance, in_letters, name))
    });
    slips.min().map(|(.., name)| name).or_else(|| {
        let meant = |name: &&&str| is_short_for(&unknown, &name.to_lowercase());
        known.iter().filter(meant).min_by_key(|name| name.len()).copied()
    })
}

/// Whether each word of `short` begins a word of `long`, in order.
fn is_short_for(short: &str, long: &str) -> bool {
    let mut words = long.split('_');
    short.len() >= 3
        && short.split('_').all(|wanted| !wanted.is_empty() && words.any(|word| word.starts_with(wanted)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_nest_and_all_problems_are_kept() {
        let mut problems = Problems::new();
        problems.within("model", |p| {
            p.report("n_embd", "must be positive");
            p.within("block", |p| p.report("", "unknown type"));
        });
        assert_eq!(problems.to_string(), "model.n_embd: must be positive\nmodel.block: unknown type");
    }

    #[test]
    fn numbers_out_of_range_are_reported_with_what_is_allowed() {
        let mut problems = Problems::new();
        problems.require_in(64, 1..=64, "n");
        problems.require_in(0, 1..=64, "n");
        problems.require_in(f32::NAN, 0.0..=0.5, "std");
        problems.require_positive(1e-30, "alpha");
        problems.require_positive(f64::INFINITY, "alpha");
        assert_eq!(
            problems.to_string(),
            "n: is 0; allowed: 1 to 64\nstd: is NaN; allowed: 0 to 0.5\nalpha: is inf; allowed: finite, above 0"
        );
    }

    #[test]
    fn the_nearest_name_is_close_or_none() {
        assert_eq!(nearest("n_emb", ["n_layer", "n_embd"]), Some("n_embd"));
        assert_eq!(nearest("Transfomer", ["lstm", "transformer"]), Some("transformer"));
        assert_eq!(nearest("lastn", ["last", "last_n"]), Some("last_n"));
        assert_eq!(nearest("banana", ["lstm", "transformer"]), None);
        assert_eq!(nearest("base", ["name", "seed", "task"]), None);
    }

    #[test]
    fn a_name_cut_short_finds_the_whole() {
        let tasks = ["linear_regression", "noisy_linear_regression", "sparse_linear_regression"];
        assert_eq!(nearest("noisy_linear", tasks), Some("noisy_linear_regression"));
        assert_eq!(nearest("linear", tasks), Some("linear_regression"));
        assert_eq!(nearest("sparse-lin", tasks), Some("sparse_linear_regression"));
        assert_eq!(nearest("lr", tasks), None);
    }

    #[test]
    fn what_was_found_apart_gets_the_path_it_is_adopted_at() {
        let mut apart = Problems::new();
        apart.report_key("n_hed", "is unknown");
        let mut problems = Problems::new();
        problems.within("model", |p| p.adopt(apart));
        assert_eq!(problems.to_string(), "model.n_hed: is unknown");
        assert_eq!(problems.found()[0].subject, Subject::Key);
    }
}
