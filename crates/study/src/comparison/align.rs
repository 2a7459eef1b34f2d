//! The prompts that runs have in common.

use std::collections::HashMap;

use looped_eval::Evaluation;
use looped_train::command_line;

use crate::comparison::run::FinishedRun;

/// What pairs the runs of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Basis {
    /// All are scored on the same prompts.
    SamePrompts,
    /// The prompts have different numbers of points, and so are different ones.
    OtherLengths,
    /// Not every run has kept the scores of its prompts.
    NoScores,
}

/// Cuts runs to the prompts that they have in common; refuses runs that have none.
pub(crate) fn align(runs: &mut [FinishedRun]) -> Result<Basis, String> {
    let scored = |run: &FinishedRun| run.scored.evaluation.loops;
    let loops: Vec<usize> = runs.iter().map(scored).collect();
    let own: [fn(&FinishedRun) -> usize; 2] = [|run| run.trained_loops, |run| run.mean_loops];
    let as_trained = own.into_iter().any(|own| runs.iter().all(|run| scored(run) == own(run)));
    if !as_trained && loops.windows(2).any(|pair| pair[0] != pair[1]) {
        return Err(refusal(runs, "after different numbers of loops, and not each after its own"));
    }
    let lengths: Vec<usize> = runs.iter().map(|run| run.scored.points()).collect();
    let one_length = lengths.windows(2).all(|pair| pair[0] == pair[1]);
    if runs.iter().any(|run| run.scored.prompts.is_none()) {
        let set = |run: &FinishedRun| (run.scored.evaluation.seed, run.scored.evaluation.prompts);
        return if runs.windows(2).all(|pair| set(&pair[0]) == set(&pair[1])) {
            Ok(Basis::NoScores)
        } else {
            Err(refusal(runs, "on different prompts"))
        };
    }
    for length in &lengths {
        let mut alike: Vec<&mut FinishedRun> =
            runs.iter_mut().filter(|run| run.scored.points() == *length).collect();
        if !cut_to_common(&mut alike) {
            return Err(refusal(runs, "on different prompts"));
        }
    }
    Ok(if one_length { Basis::SamePrompts } else { Basis::OtherLengths })
}

/// Whether the runs have prompts in common, two at least; they keep no others.
fn cut_to_common(runs: &mut [&mut FinishedRun]) -> bool {
    let prompts =
        |run: &FinishedRun| run.scored.prompts.as_ref().map_or_else(Vec::new, |of| of.prompts.clone());
    let Some(first) = runs.first() else { return true };
    let mut common = prompts(first);
    if runs.iter().all(|run| prompts(run) == common) {
        return true;
    }
    for run in runs.iter() {
        let there = positions(&prompts(run));
        common.retain(|prompt| there.contains_key(prompt));
    }
    for run in runs.iter_mut() {
        let there = positions(&prompts(run));
        let kept: Vec<usize> = common.iter().filter_map(|prompt| there.get(prompt).copied()).collect();
        if kept.len() < 2 {
            return false;
        }
        run.scored.keep(&kept);
    }
    true
}

/// Where each prompt is.
fn positions(prompts: &[u64]) -> HashMap<u64, usize> {
    prompts.iter().enumerate().map(|(i, &prompt)| (prompt, i)).collect()
}

/// What each run was scored on, and the commands that score them alike.
fn refusal(runs: &[FinishedRun], how: &str) -> String {
    let mut lines = vec![format!("these runs are scored {how}:")];
    for run in runs {
        let Evaluation { prompts, seed, loops, .. } = run.scored.evaluation;
        let (path, points) = (run.path.display(), run.scored.points());
        lines.push(format!("  {path}: {prompts} prompts of seed {seed}, {points} points, {loops} loops"));
    }
    lines.push("score each alike, as here, and compare with `--eval common`:".to_owned());
    let Evaluation { prompts, seed, .. } = runs[0].scored.evaluation;
    let (prompts, seed) = (prompts.to_string(), seed.to_string());
    for run in runs {
        let (path, loops) = (run.path.display().to_string(), run.trained_loops.to_string());
        let eval = ["looped", "eval", &path, "--prompts", &prompts, "--seed", &seed, "--loops", &loops];
        lines.push(format!("  {} --save common", command_line(&eval)));
    }
    lines.join("\n")
}
