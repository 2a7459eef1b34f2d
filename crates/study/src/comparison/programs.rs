//! Which programs trained the runs of a comparison.

use std::collections::BTreeMap;
use std::path::Path;

use looped_train::Provenance;

/// More runs of a program than this are counted and not named.
const NAMED: usize = 3;

/// The programs that took steps of a run, each once; none where the run doesn't say.
pub(crate) fn programs(run: &Path, train_steps: usize) -> Vec<String> {
    // A comparison needs no run.json, and so none that can be read.
    let Ok(Some(made)) = Provenance::read(run) else { return Vec::new() };
    let mut programs: Vec<String> =
        made.trained(train_steps).iter().map(|session| session.build.words()).collect();
    programs.dedup();
    programs
}

/// What a reader must know of runs, each with its programs, that different ones trained; nothing where one trained all that
/// say by which.
pub(crate) fn warning<'a>(runs: impl IntoIterator<Item = (&'a Path, &'a [String])>) -> Option<String> {
    let mut trained: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (run, programs) in runs {
        for program in programs {
            trained.entry(program).or_default().push(run.display().to_string());
        }
    }
    if trained.len() < 2 {
        return None;
    }
    let each: Vec<String> =
        trained.iter().map(|(program, runs)| format!("looped {program} {}", in_words(runs))).collect();
    Some(format!(
        "different programs trained these runs, so that a difference may be the programs': {}",
        each.join("; ")
    ))
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
    fn many_runs_are_counted() {
        let runs = |count: usize| (0..count).map(|run| format!("r{run}")).collect::<Vec<_>>();
        assert_eq!(in_words(&runs(3)), "r0, r1, r2");
        assert_eq!(in_words(&runs(9)), "r0, r1, r2 and 6 more");
    }
}
