//! The runs of a sweep, each checked before the first one starts.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use looped_config::sweep::{Sweep, overlap};
use looped_config::{Experiment, differences};
use looped_train::Cost;

use crate::comparison::scored_on;
use crate::{Result, StudyError};

/// All runs, variant by variant.
#[derive(Debug)]
pub struct Plan {
    /// The sweep's folder.
    pub out: PathBuf,
    /// The variants, in the file's order.
    pub variants: Vec<PlannedVariant>,
    /// The runs: each variant with every seed.
    pub runs: Vec<PlannedRun>,
    /// What was translated of the base, and into what.
    pub notes: Vec<String>,
}

/// One variant.
#[derive(Debug)]
pub struct PlannedVariant {
    /// One for each run where `{seed}` makes them others; else one for all, apart from the seed.
    experiments: Vec<Experiment>,
    /// How many runs it has.
    pub seeds: usize,
}

impl PlannedVariant {
    /// Its experiment: that of its first run, where they aren't one.
    #[must_use]
    pub fn experiment(&self) -> &Experiment {
        &self.experiments[0]
    }

    /// The experiment of its run with this seed.
    fn with_seed(&mut self, run: usize, seed: u64) -> &mut Experiment {
        let own = run.min(self.experiments.len() - 1);
        self.experiments[own].seed = seed;
        &mut self.experiments[own]
    }
}

/// One run.
#[derive(Clone, Debug)]
pub struct PlannedRun {
    /// The variant and seed, in words.
    pub label: String,
    /// The variant's name.
    pub variant: String,
    /// The seed.
    pub seed: u64,
    /// The run's directory.
    pub folder: PathBuf,
    /// The file that its output goes to.
    pub log: PathBuf,
    /// The file that its config is written to before the first run starts.
    pub config: PathBuf,
    /// The config: complete, with absolute paths.
    pub toml: String,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// Not begun.
    New,
    /// Begun, and to be resumed.
    Begun,
    /// Trained, and evaluated otherwise than is planned.
    ToEvaluate,
    /// Trained and evaluated.
    Finished,
}

impl PlannedRun {
    /// How far the run is now: one that an earlier sweep started may still be running.
    #[must_use]
    pub fn state(&self) -> RunState {
        let has = |file: &str| self.folder.join(file).is_file();
        if !has("config.toml") {
            RunState::New
        } else if !has("eval.json") || !has("report.html") {
            RunState::Begun
        } else if self.evaluation_changes().is_empty() {
            RunState::Finished
        } else {
            RunState::ToEvaluate
        }
    }

    /// The settings of the planned evaluation that differ from those of the run in its directory, as `key=value`.
    #[must_use]
    pub fn evaluation_changes(&self) -> Vec<String> {
        let there = looped_config::load_run(self.folder.join("config.toml"), &[]);
        let (Ok(there), Ok(planned)) = (there, Experiment::from_toml(&self.toml)) else { return Vec::new() };
        let [there, planned] = [there.experiment, planned].map(with_its_loops);
        let changes = differences(&there, &planned);
        let of_evaluation = changes.into_iter().filter(|change| change.key.starts_with("evaluation."));
        let setting = |change: looped_config::Difference| {
            let value = toml::Value::try_from(change.to?).ok()?;
            Some(format!("{}={value}", change.key))
        };
        of_evaluation.filter_map(setting).collect()
    }
}

impl Plan {
    /// Checks the base with `overrides`, then every variant, then whether they can be compared, then what `out` holds of
    /// their runs already. Writes nothing.
    ///
    /// # Errors
    /// If anything can't be used: one message with everything that was found.
    pub fn new(sweep: &Sweep, overrides: &[String], out: &Path) -> Result<Self> {
        let base = sweep.load_base(overrides)?;
        refuse_collisions(sweep, overrides)?;
        let mut plan =
            Self { out: out.to_owned(), variants: Vec::new(), runs: Vec::new(), notes: base.notes };
        let mut problems = Vec::new();
        let mut stems: HashMap<String, String> = HashMap::new();
        let mut trainings: HashMap<String, String> = HashMap::new();
        for variant in &sweep.variants {
            let place = format!("{}: {}", sweep.path.display(), variant.place);
            let experiments = match sweep.experiments(overrides, variant) {
                Ok(experiments) => experiments,
                Err(error) => {
                    problems.push(error.to_string());
                    continue;
                }
            };
            let name = variant.name.as_ref().unwrap_or(&base.experiment.name);
            let training = experiments.iter().map(training_of).collect::<Result<String>>()?;
            if let Some(other) = trainings.insert(training, name.clone()) {
                problems.push(format!("{place}: {name} is the same training as {other}; leave one out"));
                continue;
            }
            let mut planned = PlannedVariant { experiments, seeds: sweep.seeds.len() };
            for (i, &seed) in sweep.seeds.iter().enumerate() {
                let experiment = planned.with_seed(i, seed);
                let run = PlannedRun::new(name, experiment, out)?;
                let stem = run.stem();
                if let Some(other) = stems.insert(stem.clone(), run.label.clone()) {
                    let label = &run.label;
                    problems.push(format!(
                        "{place}: {label} and {other} would share the folder {stem}; rename one"
                    ));
                } else if let Err(problem) = refuse_another(&run.folder, experiment) {
                    problems.push(problem);
                }
                plan.runs.push(run);
            }
            plan.variants.push(planned);
        }
        problems.extend(plan.variants.iter().filter_map(|variant| refuse_ranks(sweep, variant.experiment())));
        problems.extend(refuse_what_cannot_be_compared(&plan.variants));
        problems.extend(refuse_another_sweep(out, &stems));
        // A mistake in the base of a grid would be told once for each of its points.
        let mut told = HashSet::new();
        let lines: Vec<&str> =
            problems.iter().flat_map(|problem| problem.lines()).filter(|line| told.insert(*line)).collect();
        if lines.is_empty() { Ok(plan) } else { Err(StudyError::Refused(lines.join("\n"))) }
    }

    /// Gives runs that are done `jobs` at a time their parts of this machine's cores, where the sweep doesn't say how many
    /// threads a run takes.
    ///
    /// # Errors
    /// If a config can't be written as TOML.
    pub fn share_cores(&mut self, jobs: usize) -> Result<()> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        if jobs < 2 { Ok(()) } else { self.give_threads((cores / jobs).max(1)) }
    }

    /// Gives each run so many threads, where the sweep doesn't say how many.
    ///
    /// # Errors
    /// If a config can't be written as TOML.
    pub fn give_threads(&mut self, threads: usize) -> Result<()> {
        let mut runs = self.runs.iter_mut();
        for variant in &mut self.variants {
            let of_variant: Vec<&mut PlannedRun> = runs.by_ref().take(variant.seeds).collect();
            if variant.experiment().training.threads.is_some() {
                continue;
            }
            for (i, run) in of_variant.into_iter().enumerate() {
                let experiment = variant.with_seed(i, run.seed);
                experiment.training.threads = Some(threads);
                run.toml = experiment.to_toml()?;
            }
        }
        Ok(())
    }

    /// The memory that `jobs` runs at a time take at most, in bytes: an estimate.
    ///
    /// # Errors
    /// If a model can't be built.
    pub fn peak_memory(&self, jobs: usize) -> Result<f64> {
        let mut each = Vec::new();
        for variant in &self.variants {
            let memory = Cost::of(variant.experiment())?.memory;
            each.extend(std::iter::repeat_n(memory, variant.seeds.min(jobs)));
        }
        each.sort_by(|a, b| b.total_cmp(a));
        Ok(each.iter().take(jobs).sum())
    }

    /// The directories of the runs that are finished.
    #[must_use]
    pub fn finished(&self) -> Vec<PathBuf> {
        let finished = self.runs.iter().filter(|run| run.state() == RunState::Finished);
        finished.map(|run| run.folder.clone()).collect()
    }
}

impl PlannedRun {
    fn new(variant: &str, experiment: &Experiment, out: &Path) -> Result<Self> {
        let seed = experiment.seed;
        let stem = format!("{}-seed{seed}", slug(variant));
        Ok(Self {
            label: format!("{variant}, seed {seed}"),
            variant: variant.to_owned(),
            seed,
            folder: out.join("runs").join(&stem),
            log: out.join("logs").join(format!("{stem}.log")),
            config: out.join("configs").join(format!("{stem}.toml")),
            toml: experiment.to_toml()?,
        })
    }

    /// The name of its folder.
    pub(super) fn stem(&self) -> String {
        self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// Refuses `key=value` arguments that would undo what the sweep is about.
fn refuse_collisions(sweep: &Sweep, overrides: &[String]) -> Result<()> {
    let named = sweep.variants.iter().any(|variant| variant.name.is_some());
    let own = ["seed"].into_iter().chain(named.then_some("name"));
    let settings = sweep.variants.iter().flat_map(|variant| &variant.settings);
    let swept: HashSet<&str> = own.chain(settings.map(|setting| setting.key.as_str())).collect();
    for argument in overrides {
        let key = argument.split('=').next().unwrap_or_default().trim();
        if let Some(swept) = swept.iter().find(|swept| overlap(key, swept)) {
            let file = sweep.path.display();
            return Err(StudyError::Refused(format!(
                "command line: {key}: is set by {file} run by run ({swept}); change it there"
            )));
        }
    }
    Ok(())
}

/// What tells one training from another, as text: the config without its name, seed and evaluation.
fn training_of(experiment: &Experiment) -> Result<String> {
    let mut table = toml::Table::try_from(experiment)?;
    for key in ["name", "seed", "evaluation"] {
        table.remove(key);
    }
    Ok(table.to_string())
}

/// An experiment whose evaluation says how many loops it takes.
fn with_its_loops(mut experiment: Experiment) -> Experiment {
    let last = experiment.training.usual_loops();
    experiment.evaluation.loops.get_or_insert(last);
    experiment
}

/// An error if a run needs several processes. Sweeps start one for each, here and on a cluster: what is to be done sooner is shared out by runs.
fn refuse_ranks(sweep: &Sweep, experiment: &Experiment) -> Option<String> {
    let ranks = experiment.training.ranks;
    (ranks > 1).then(|| {
        format!(
            "{}: training.ranks: is {ranks}, and each run of a sweep is one process; allowed in a sweep: 1. Runs of {ranks} ranks are \
             started one by one (`mpirun -n {ranks} looped run EXP.toml --out RUN`), and compared by `looped compare`",
            sweep.path.display()
        )
    })
}

/// An error if the variants' scores would not be of one kind: known now, and not when all are trained.
fn refuse_what_cannot_be_compared(variants: &[PlannedVariant]) -> Option<String> {
    let experiments: Vec<&Experiment> = variants.iter().flat_map(|variant| &variant.experiments).collect();
    let words: Vec<String> = experiments.iter().map(|experiment| scored_on(experiment)).collect();
    if words.windows(2).all(|pair| pair[0] == pair[1]) {
        return None;
    }
    let mut told = HashSet::new();
    let each = experiments.iter().zip(&words).filter(|(_, words)| told.insert(*words));
    let lines: String = each.map(|(experiment, words)| format!("\n  {}: {words}", experiment.name)).collect();
    Some(format!(
        "only runs of one task can be compared; this sweep has several, make a sweep of each:{lines}"
    ))
}

/// An error if a folder has runs of another sweep: its report would leave them out.
fn refuse_another_sweep(out: &Path, stems: &HashMap<String, String>) -> Option<String> {
    let entries = std::fs::read_dir(out.join("runs")).ok()?;
    let runs = entries
        .filter_map(std::result::Result::ok)
        .filter(|entry| entry.path().join("config.toml").is_file());
    let names = runs.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut strange: Vec<String> = names.filter(|name| !stems.contains_key(name)).collect();
    strange.sort();
    let more = match strange.len() {
        0 => return None,
        1..=3 => String::new(),
        count => format!(" and {} more", count - 3),
    };
    strange.truncate(3);
    Some(format!(
        "{}: is the folder of another sweep, with runs that this one hasn't ({}{more}); a sweep may add to what is there; \
         else choose another --out",
        out.display(),
        strange.join(", ")
    ))
}

/// An error if a run's directory holds another training. Another evaluation is none.
fn refuse_another(folder: &Path, planned: &Experiment) -> Result<(), String> {
    let config = folder.join("config.toml");
    if !config.is_file() {
        return Ok(());
    }
    let there = looped_config::load_run(&config, &[]).map_err(|error| error.to_string())?.experiment;
    let changes = differences(&there, planned);
    let changed: Vec<String> =
        changes.iter().filter(|change| change.changes_training()).map(ToString::to_string).collect();
    if changed.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{} holds a run of another experiment ({}); remove it, or choose another --out",
        folder.display(),
        changed.join("; ")
    ))
}

/// A name as a folder that needs no quotes.
fn slug(name: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || "-_.=+".contains(c) { c } else { ' ' };
    name.chars().map(plain).collect::<String>().split_whitespace().collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_need_no_quotes() {
        assert_eq!(slug("last 20"), "last-20");
        assert_eq!(slug("n_layer=2, x=-1e-4"), "n_layer=2-x=-1e-4");
        assert_eq!(slug("größer (alle)"), "größer-alle");
    }
}
