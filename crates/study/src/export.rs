//! What runs have logged, and what they were scored, as tables for other programs.

use std::path::{Path, PathBuf};

use looped_eval::{Curve, Evaluation};
use looped_report::columns::{Column, Values};
use looped_train::{At as _, Metrics, Record};

use crate::comparison::Scored;
use crate::{Result, StudyError};

/// The lines of `metrics.jsonl` of runs, one below the other, under the names that they have there, beside the run's folder, its name and its
/// seed. Columns that no line has a number for are left out.
///
/// # Errors
/// If one isn't a run's directory, or a file can't be read.
pub fn metrics(runs: &[PathBuf]) -> Result<Vec<Column>> {
    let (mut of, mut records) = (Of::default(), Vec::new());
    for run in runs {
        let found = Metrics::read(&run.join("metrics.jsonl"))?;
        of.add(run, found.len())?;
        records.extend(found);
    }
    let whole = |name: &str, value: fn(&Record) -> usize| {
        let values = records.iter().map(|record| i64::try_from(value(record)).unwrap_or(i64::MAX));
        Column::whole(name, values.collect())
    };
    let real = |name: &str, value: fn(&Record) -> Option<f64>| {
        Column::real(name, records.iter().map(value).collect())
    };
    let mut columns = of.columns();
    columns.extend([
        whole("step", |record| record.step),
        real("loss", |record| Some(record.loss)),
        whole("dims", |record| record.stage.dims),
        whole("points", |record| record.stage.points),
        whole("loops", |record| record.stage.loops),
        real("learning_rate", |record| Some(record.learning_rate)),
        real("grad_norm", |record| Some(record.grad_norm)),
        real("steps_per_second", |record| Some(record.steps_per_second)),
        whole("skipped", |record| record.skipped),
        real("cpu_seconds", |record| record.cpu_seconds),
        real("validation_loss_last_stage", |record| record.validation_loss_last_stage),
        real("validation_loss_ema", |record| record.validation_loss_ema),
        real("validation_loss", |record| record.validation_loss),
    ]);
    let mut notes: Vec<&str> =
        records.iter().flat_map(|record| record.notes.keys().map(String::as_str)).collect();
    notes.sort_unstable();
    notes.dedup();
    for note in notes {
        let value = |record: &Record| record.notes.get(note).map(|value| value.unwrap_or(f64::NAN));
        columns.push(Column::real(&format!("notes/{note}"), records.iter().map(value).collect()));
    }
    columns.retain(|column| !is_empty(&column.values) || records.is_empty());
    Ok(columns)
}

/// The curves of runs' evaluations, a line for each entry: those that the runs ended with, or those saved under a name.
///
/// `axis` says what `at` counts: `examples` in context, `length` of a sequence of tokens, or `loops`.
///
/// # Errors
/// If one isn't a run's directory, has no such evaluation, or a file can't be read.
pub fn evaluations(runs: &[PathBuf], name: Option<&str>) -> Result<Vec<Column>> {
    let mut of = Of::default();
    let (mut curves, mut axes, mut at) = (Vec::new(), Vec::new(), Vec::new());
    let mut numbers: [Vec<Option<f64>>; 5] = Default::default();
    for run in runs {
        let before = at.len();
        let evaluation = Scored::read(run, name).map_err(StudyError::Refused)?.evaluation;
        for (axis, first, name, curve) in all_curves(&evaluation) {
            for (i, mean) in curve.mean.iter().enumerate() {
                curves.push(name.to_owned());
                axes.push(axis.to_owned());
                at.push(i64::try_from(first + i).unwrap_or(i64::MAX));
                let entry = |values: &[f64]| values.get(i).copied();
                let entries = [Some(*mean), entry(&curve.low), entry(&curve.high), entry(&curve.median)];
                let entries = entries.into_iter().chain([entry(&curve.largest_share)]);
                numbers.iter_mut().zip(entries).for_each(|(column, entry)| column.push(entry));
            }
        }
        of.add(run, at.len() - before)?;
    }
    let mut columns = of.columns();
    columns.extend([Column::text("curve", curves), Column::text("axis", axes), Column::whole("at", at)]);
    let names = ["mean", "low", "high", "median", "largest_share"];
    columns.extend(names.into_iter().zip(numbers).map(|(name, values)| Column::real(name, values)));
    Ok(columns)
}

/// The curves of an evaluation: what its entries count, what the first one is for, the name.
fn all_curves(evaluation: &Evaluation) -> impl Iterator<Item = (&'static str, usize, &str, &Curve)> {
    let first = evaluation.first();
    let axis = if first == 0 { "examples" } else { "length" };
    let over_examples = evaluation.curves.iter().map(move |(name, curve)| (axis, first, name, curve));
    let beside = evaluation.baselines_per_loop.iter();
    let over_loops = std::iter::once((looped_eval::MODEL, &evaluation.per_loop)).chain(beside);
    over_examples.chain(over_loops.map(|(name, curve)| ("loops", 1, name, curve)))
}

/// Which run each line is of.
#[derive(Default)]
struct Of {
    folders: Vec<String>,
    names: Vec<String>,
    seeds: Vec<i64>,
}

impl Of {
    /// The next `lines` are of this run.
    fn add(&mut self, run: &Path, lines: usize) -> Result<()> {
        let path = run.join("config.toml");
        if !path.is_file() {
            let message = format!("{} is not a run directory: it has no config.toml", run.display());
            return Err(StudyError::Refused(message));
        }
        let text = std::fs::read_to_string(&path).at("read", &path)?;
        // A run of a program with other parts can be exported too, so the file is not read as an experiment.
        let config: toml::Table = text.parse().map_err(|error: toml::de::Error| StudyError::Content {
            path,
            message: error.message().to_owned(),
        })?;
        let name = config.get("name").and_then(toml::Value::as_str).unwrap_or_default();
        let seed = config.get("seed").and_then(toml::Value::as_integer).unwrap_or(0);
        self.folders.extend(std::iter::repeat_n(run.display().to_string(), lines));
        self.names.extend(std::iter::repeat_n(name.to_owned(), lines));
        self.seeds.extend(std::iter::repeat_n(seed, lines));
        Ok(())
    }

    fn columns(self) -> Vec<Column> {
        vec![
            Column::text("run", self.folders),
            Column::text("name", self.names),
            Column::whole("seed", self.seeds),
        ]
    }
}

/// Whether no row has a number.
fn is_empty(values: &Values) -> bool {
    matches!(values, Values::Real(values) if values.iter().all(Option::is_none))
}
