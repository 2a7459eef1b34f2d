//! Everything that is wrong with a config, collected so that one look mends it all.

use std::fmt;

/// One thing wrong with a config: where, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Dotted path of the key, as in `model.block.n_head`; empty for the whole file.
    pub path: String,
    /// What is wrong, and which values are allowed.
    pub message: String,
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

    /// Reports a problem with `key` (empty: with the table itself) at the present path.
    pub fn report(&mut self, key: &str, message: impl Into<String>) {
        let mut path = self.path.clone();
        if !key.is_empty() {
            path.push(key.to_owned());
        }
        self.found.push(Problem { path: path.join("."), message: message.into() });
    }

    /// Reports a problem unless `holds`.
    pub fn require(&mut self, holds: bool, key: &str, message: impl FnOnce() -> String) {
        if !holds {
            self.report(key, message());
        }
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

/// The known name nearest to `unknown`, if one is near enough to be meant.
#[must_use]
pub fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&unknown.to_lowercase(), &name.to_lowercase()), name))
        .filter(|&(distance, name)| distance <= 1 + name.len().min(unknown.len()) / 3)
        .min()
        .map(|(_, name)| name)
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
    fn the_nearest_name_is_close_or_none() {
        assert_eq!(nearest("n_emb", ["n_layer", "n_embd"]), Some("n_embd"));
        assert_eq!(nearest("Transfomer", ["lstm", "transformer"]), Some("transformer"));
        assert_eq!(nearest("banana", ["lstm", "transformer"]), None);
    }
}
