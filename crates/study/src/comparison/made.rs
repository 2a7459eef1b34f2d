//! What trained the runs of a comparison, where they say it.

use std::collections::BTreeMap;
use std::path::Path;

use looped_train::{Provenance, Session};

/// More runs of one program than this are counted and not named.
const NAMED: usize = 3;

/// What took the steps of a run, each once; nothing where the run doesn't say.
#[derive(Debug, Default)]
pub(crate) struct Made {
    /// As in `looped 0.1.0 (9a8b7c6d5e)`.
    programs: Vec<String>,
    /// As in `fused on cpu`.
    engines: Vec<String>,
}

impl Made {
    /// Of the run in a folder, after `train_steps` steps.
    pub(crate) fn of(run: &Path, train_steps: usize) -> Self {
        // A comparison needs no run.json, and so none that can be read.
        let Ok(Some(provenance)) = Provenance::read(run) else { return Self::default() };
        let sessions = provenance.trained(train_steps);
        let each = |words: fn(&Session) -> String| {
            let mut all: Vec<String> = sessions.iter().map(|session| words(session)).collect();
            all.dedup();
            all
        };
        Self {
            programs: each(|session| format!("looped {}", session.build.words())),
            engines: each(|session| format!("{} on {}", session.engine, session.device)),
        }
    }
}

/// What a reader must know of runs that were not all made alike.
pub(crate) fn warnings(runs: &[(&Path, &Made)]) -> Vec<String> {
    let told = |of: fn(&Made) -> &Vec<String>, what: &str| {
        let mut made: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (run, by) in runs {
            for by in of(by) {
                made.entry(by).or_default().push(run.display().to_string());
            }
        }
        let each: Vec<String> = made.iter().map(|(by, runs)| format!("{by} {}", in_words(runs))).collect();
        (each.len() > 1).then(|| format!("{what}: {}", each.join("; ")))
    };
    let programs = "different programs trained these runs, so that a difference may be the programs' and not the variants'";
    let engines =
        "different engines or devices trained these runs, so that their CPU times can't be compared";
    told(|made| &made.programs, programs).into_iter().chain(told(|made| &made.engines, engines)).collect()
}

fn in_words(runs: &[String]) -> String {
    let named = runs[..runs.len().min(NAMED)].join(", ");
    match runs.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_runs_are_counted_and_runs_made_alike_need_no_word() {
        let folders: Vec<String> = (0..9).map(|run| format!("r{run}")).collect();
        assert_eq!(in_words(&folders[..3]), "r0, r1, r2");
        assert_eq!(in_words(&folders), "r0, r1, r2 and 6 more");
        let made = |engine: &str| Made { programs: vec!["looped 1".into()], engines: vec![engine.into()] };
        let (fused, candle, unknown) = (made("fused on cpu"), made("candle on cpu"), Made::default());
        let [a, b, c] = ["a", "b", "c"].map(Path::new);
        assert_eq!(warnings(&[(a, &fused), (b, &fused), (c, &unknown)]), [""; 0]);
        let told = warnings(&[(a, &fused), (b, &candle), (c, &fused)]);
        assert!(told.len() == 1 && told[0].ends_with(": candle on cpu b; fused on cpu a, c"), "{told:?}");
    }
}
