//! The report of one run, drawn from the files in its directory alone.

mod engine;
mod figures;
mod lab;
mod probes;

use std::path::Path;

use looped_config::Experiment;
use looped_eval::{CONVERGED_WITHIN, Evaluation, SuiteEvaluation};
use looped_report::plot::Drawing;
use looped_report::report::{Part, Report, Section};
use looped_train::{At as _, Metrics, Provenance, Record, RunDir};
use serde::de::DeserializeOwned;

use crate::{Result, StudyError};

pub use figures::{over_examples, over_loops, over_steps};
pub use lab::{save_found, tables as lab_tables};
pub use probes::table as probe_table;

/// Draws the report again from what the run directory holds: `eval.json`, and `eval_ood.json`, `probe.json` and the files
/// of `lab/` where they are there.
///
/// # Errors
/// As [`report`]; and if a file can't be written.
pub fn write(experiment: &Experiment, run: &RunDir) -> Result<()> {
    Ok(report(experiment, run)?.write(run.path())?)
}

/// What [`write()`] draws.
///
/// # Errors
/// If the run isn't evaluated yet, or a file of it can't be read.
pub fn report(experiment: &Experiment, run: &RunDir) -> Result<Report> {
    let evaluation: Evaluation = read(&run.evaluation())?
        .ok_or_else(|| StudyError::Refused(format!("{} is not evaluated yet", run.path().display())))?;
    let metrics = Metrics::read(&run.metrics())?;
    let mut sections = vec![results(experiment, &evaluation)];
    sections.extend(convergence(experiment, &evaluation));
    sections.extend(read(&run.shifted_evaluation())?.map(|suite| shifts(&suite)));
    sections.extend(read(&run.probing())?.map(|probing| probes::section(&probing)));
    sections.extend(lab::sections(run)?);
    let engine = Provenance::read(run.path())?
        .and_then(|provenance| engine::words(&provenance, experiment.training.train_steps));
    sections.push(training(experiment, &metrics, engine));
    sections.push(repeat(experiment)?);
    Ok(Report { title: experiment.name.clone(), sections })
}

/// What a JSON file holds; `None` if there is none.
fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        read => read.at("read", path)?,
    };
    let value = serde_json::from_str(&text);
    let bad =
        |error: serde_json::Error| StudyError::Content { path: path.to_owned(), message: error.to_string() };
    Ok(Some(value.map_err(bad)?))
}

fn plot(name: &str, figure: impl Into<Drawing>, caption: impl Into<String>) -> Part {
    Part::Plot { name: name.to_owned(), figure: figure.into(), caption: caption.into() }
}

fn results(experiment: &Experiment, evaluation: &Evaluation) -> Section {
    let trained = experiment.training.usual_loops();
    let (prompts, loops) = (evaluation.prompts_in_words(), evaluation.loops);
    let over_examples = format!("Mean over {prompts} after {loops} loops; 90 % CI over prompts shaded.");
    let mut section = Section::new("Results");
    section.parts.push(plot("error", figures::over_examples(evaluation), over_examples));
    let at_the_last_query = "At the last query, after each loop.";
    section.parts.push(plot("loops", figures::over_loops(evaluation, trained), at_the_last_query));
    if let Some(map) = figures::by_length(evaluation) {
        section.parts.push(plot(
            "by_length",
            map,
            "At each length, after each loop; mean over the same prompts.",
        ));
    }
    section.parts.push(Part::Code(evaluation.table()));
    section
}

/// Whether the loops converge; nothing to say of a model of one loop.
fn convergence(experiment: &Experiment, evaluation: &Evaluation) -> Option<Section> {
    let trained = experiment.training.usual_loops();
    let mut section = Section::new("Does it converge?");
    if let (Some(figure), Some(change)) =
        (figures::state_change(evaluation, trained), &evaluation.state_change)
    {
        let caption = format!(
            "How far the state moves in each loop: |Z_l - Z_(l-1)| / |Z_(l-1)| over all tokens, mean over {} prompts.",
            change.prompts
        );
        section.parts.push(plot("state_change", figure, caption));
    }
    if let Some(figure) = figures::convergence(evaluation) {
        let caption = format!(
            "The loop from which on the mean score stays within {} % of its value after the last loop, {}.",
            CONVERGED_WITHIN * 100.0,
            evaluation.loops
        );
        section.parts.push(plot("convergence", figure, caption));
    }
    (!section.parts.is_empty()).then_some(section)
}

/// All shifts at a glance, then one figure for each.
fn shifts(suite: &SuiteEvaluation) -> Section {
    let mut section = Section::new("Out of distribution");
    let at_a_glance = "Each shift at its longest prompts, with the 90 % CI over prompts.";
    section.parts.push(plot(&format!("{}_summary", suite.suite), figures::all_shifts(suite), at_a_glance));
    section.parts.push(Part::Code(suite.table()));
    let caption = |name: &str| format!("Prompts of {}; 90 % CI over prompts shaded.", name.replace('_', " "));
    for shift in &suite.shifts {
        let name = format!("{}_{}", suite.suite, shift.name);
        section.parts.push(plot(&name, figures::shift(shift), caption(&shift.name)));
    }
    section
}

fn training(experiment: &Experiment, metrics: &[Record], engine: Option<String>) -> Section {
    let caption = "The loss of each logged batch at its step's stage, and the validation loss at the curriculum's last \
                   stage, which is the same for all runs of the task; each divided by the task's normaliser.";
    let mut section = Section::new("Training");
    section.parts.push(plot("training", figures::over_steps(experiment, metrics), caption));
    section.parts.extend(engine.map(Part::Paragraph));
    section
}

fn repeat(experiment: &Experiment) -> Result<Section> {
    let config = experiment.to_toml()?;
    Ok(Section {
        heading: "Repeat".to_owned(),
        parts: vec![Part::Code("looped run config.toml --out again".to_owned()), Part::Code(config)],
    })
}

#[cfg(test)]
mod tests;
