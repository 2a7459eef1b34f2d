//! The command line.

mod kinds;
mod lab;
mod seeds;
mod shared;

use std::path::PathBuf;

use clap::{Args, ColorChoice, Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use looped_study::sweep::Shard;

pub(crate) use kinds::{Listed, PartKind};
pub(crate) use lab::{ExitsArgs, LabArgs, MatchArgs};
pub(crate) use seeds::Seeds;
use seeds::seeds;
pub(crate) use shared::{DeviceArgs, ExperimentArgs, RunDirArgs};
use shared::{LoopArgs, OutputArgs, PromptArgs};

/// Where runs are put if nothing else is said, and the environment's way to say it.
const RUNS: &str = "runs";
const RUNS_VARIABLE: &str = "LOOPED_RUNS";

/// What scripts go by.
const AFTER_HELP: &str = "Environment:
  LOOPED_RUNS, LOOPED_DEVICE  defaults of --runs and --device
  MLFLOW_TRACKING_URI         an MLflow server that gets what `run`, `resume` and the runs of `sweep` log, as in
                              http://127.0.0.1:5000

Exit codes:
  0    done
  1    a run that failed
  2    a bad config or argument
  130  stopped by Ctrl-C; 143 by SIGTERM, 129 by SIGHUP, 138 by SIGUSR1 (128 and the signal's number): what was trained
       is saved, and `looped resume` or the same `looped sweep` carries on";

/// Train and study looped models: small stacks of blocks applied again and again to their own state.
#[derive(Debug, Parser)]
#[command(name = "looped", version = crate::build::VERSION, arg_required_else_help = true, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) messages: MessageArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Messages")]
pub(crate) struct MessageArgs {
    /// Print no progress and no notes: only results, warnings and errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    pub(crate) color: ColorChoice,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train, evaluate and plot an experiment
    #[command(
        after_help = "Example:\n  looped run experiments/quickstart.toml training.learning_rate=8e-3 --out runs/slower"
    )]
    Run(RunArgs),
    /// Resume a run from its newest good checkpoint, to the same bits as if it had never stopped
    #[command(
        after_help = "Examples:\n  looped resume runs/quickstart\n  looped resume runs/study_cpu training.train_steps=20000\n\nSettings may be those that leave the steps already done as they are: training.train_steps (under a schedule, only where their rates stay), training.threads, training.{log,save,keep,validate}_every_steps, evaluation.*"
    )]
    Resume(ResumeArgs),
    /// Validate an experiment, or every run of a sweep; print what it will cost, and an experiment's resolved config
    #[command(
        after_help = "Examples:\n  looped check experiments/paper/linear_looped.toml model.n_layer=12\n  looped check experiments/study/a_last_n.toml"
    )]
    Check(CheckArgs),
    /// List the runs and sweeps below a folder: state, steps, last losses, error, age
    #[command(after_help = "Examples:\n  looped ls\n  looped ls runs/study --json")]
    Ls(LsArgs),
    /// Draw a run's plots and report again from what its directory holds
    #[command(after_help = "Example:\n  looped report runs/quickstart")]
    Report(ReportArgs),
    /// List the components that a config can name: blocks, injectors, tasks, baselines, optimizers, ...
    #[command(after_help = "Examples:\n  looped list tasks\n  looped list last_n")]
    List(ListArgs),
    /// Print the JSON Schema of experiment or sweep files, for editors
    #[command(
        after_help = "Examples:\n  looped schema > experiment.schema.json\n  looped schema sweep > sweep.schema.json"
    )]
    Schema(SchemaArgs),
    /// Make a run directory at step 0 from published weights
    #[command(
        after_help = "Example:\n  looped import model.pt experiments/paper/linear_looped.toml --out runs/published"
    )]
    Import(ImportArgs),
    /// Predict every y of given prompts after each loop
    #[command(
        after_help = "Example:\n  looped predict runs/quickstart --data prompts.safetensors --loops 20 --out preds.safetensors"
    )]
    Predict(PredictArgs),
    /// Score a run on fresh prompts beside the baselines
    #[command(
        after_help = "Examples:\n  looped eval runs/quickstart --loops 100 --prompts 1280 --json\n  looped eval runs/quickstart --loops 100 --save long\n  looped eval runs/quickstart --suite ood --save"
    )]
    Eval(EvalArgs),
    /// Read X^T y and the least-squares weights from a run's states after each loop, beside two controls
    #[command(after_help = "Example:\n  looped probe runs/quickstart --save")]
    Probe(ProbeArgs),
    /// Find which iterative solver of least squares a run follows, and at which of its steps each loop is
    #[command(
        after_help = "Examples:\n  looped match runs/quickstart\n  looped match runs/quickstart --loops 16 --steps 128 --save long"
    )]
    Match(MatchArgs),
    /// See whether a run's state settles, drifts, cycles or diverges far beyond the trained loops
    #[command(
        after_help = "Examples:\n  looped stability runs/quickstart\n  looped stability runs/quickstart --loops 400 --save long"
    )]
    Stability(LabArgs),
    /// See when a run could stop looping, by which rule, and how far that is from the best
    #[command(
        after_help = "Examples:\n  looped exits runs/quickstart\n  looped exits runs/quickstart --loops 16 --threshold 0.01 --save"
    )]
    Exits(ExitsArgs),
    /// Predict given prompts by each baseline
    #[command(
        after_help = "Example:\n  looped baselines --data prompts.safetensors --out baselines.safetensors"
    )]
    Baselines(BaselinesArgs),
    /// Compare finished runs: plots, tables, a report
    #[command(
        after_help = "Examples:\n  looped compare runs/all runs/last20 --out runs/last20_against_all\n  looped compare runs/*-seed* --against \"all tokens\" --margin 1.05 --examples 10 --out runs/compared"
    )]
    Compare(CompareArgs),
    /// Write what runs have logged, or were scored, as a table: CSV or Parquet
    #[command(
        after_help = "Examples:\n  looped export runs/quickstart\n  looped export runs/last_n/runs/* --out metrics.parquet\n  looped export runs/last_n/runs/* --what evaluation --out errors.csv"
    )]
    Export(ExportArgs),
    /// Run every variant of a sweep file with every seed, and compare them; resumes where it stopped
    #[command(
        after_help = "Examples:\n  looped sweep experiments/study/a_last_n.toml --out runs/last_n --jobs 2\n  looped sweep experiments/quickstart.toml 'model.n_layer=[1, 2]' --seeds 0..2 --out runs/layers --dry-run"
    )]
    Sweep(SweepArgs),
    /// Write a crate with a block, injector, task or baseline of your own, its tests, and a `looped` that knows it
    #[command(after_help = "Example:\n  looped new block moving_mean --out ../moving_mean")]
    New(NewArgs),
    /// Print a script that makes a shell complete commands and options
    #[command(
        after_help = "Example:\n  looped completions bash > ~/.local/share/bash-completion/completions/looped"
    )]
    Completions(CompletionsArgs),
    /// Print the manual page, or write one for each command
    #[command(after_help = "Examples:\n  looped man | man -l -\n  looped man --out ~/.local/share/man/man1")]
    Man(ManArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) experiment: ExperimentArgs,
    /// The run directory [default: NAME in --runs, or the first free of NAME-2, NAME-3, ...]
    #[arg(short, long, value_hint = ValueHint::AnyPath)]
    pub(crate) out: Option<PathBuf>,
    /// The folder of runs that --out names no place for
    #[arg(long, value_name = "DIR", default_value = RUNS, env = RUNS_VARIABLE, value_hint = ValueHint::DirPath)]
    pub(crate) runs: PathBuf,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    pub(crate) run: RunDirArgs,
    /// Settings to change, as in training.train_steps=20000 to train longer
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// An experiment or a sweep (a TOML, YAML or JSON file), or the directory of a run
    #[arg(value_hint = ValueHint::AnyPath)]
    pub(crate) experiment: PathBuf,
    /// Settings that win over the file's, as in model.n_layer=2
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// Say of each operation how often it is computed, what is kept of it, and what it costs
    #[arg(long, conflicts_with = "json")]
    pub(crate) explain: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// The folder to look through [default: where `looped run` puts runs: LOOPED_RUNS if set, or runs]
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) folder: Option<PathBuf>,
    /// Print JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

impl LsArgs {
    /// The folder, and whether the command names it.
    pub(crate) fn folder(&self) -> (PathBuf, bool) {
        match &self.folder {
            Some(folder) => (folder.clone(), true),
            None => (std::env::var_os(RUNS_VARIABLE).unwrap_or_else(|| RUNS.into()).into(), false),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    #[command(flatten)]
    pub(crate) run: RunDirArgs,
    /// Print JSON instead of the report's path
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// One kind only (blocks, injectors, tasks, ...), or one component with its keys
    #[arg(value_name = "KIND|TYPE")]
    pub(crate) what: Option<Listed>,
    /// One component of that kind, with its keys
    #[arg(value_name = "TYPE")]
    pub(crate) name: Option<String>,
    /// Print JSON instead of text, keys included
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// Whose schema
    #[arg(value_enum, default_value_t = SchemaOf::Experiment)]
    pub(crate) of: SchemaOf,
}

/// The files that have a schema.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum SchemaOf {
    Experiment,
    Sweep,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The weights: a .pt or .safetensors file
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) weights: PathBuf,
    #[command(flatten)]
    pub(crate) experiment: ExperimentArgs,
    /// The run directory to make
    #[arg(short, long, value_hint = ValueHint::AnyPath)]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PredictArgs {
    #[command(flatten)]
    pub(crate) run: RunDirArgs,
    #[command(flatten)]
    pub(crate) prompts: PromptArgs,
    #[command(flatten)]
    pub(crate) model: LoopArgs,
    /// The file to write: preds (loops, B, n), f32
    #[arg(short, long, value_hint = ValueHint::AnyPath)]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    #[command(flatten)]
    pub(crate) run: RunDirArgs,
    #[command(flatten)]
    pub(crate) model: LoopArgs,
    /// How many prompts [default: the experiment's]
    #[arg(long, value_parser = clap::value_parser!(u32).range(2..=100_000_000))]
    pub(crate) prompts: Option<u32>,
    /// The seed of the prompts [default: the experiment's]
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// A baseline, by its type or as a table like {type = "knn", k = 5}; can be repeated [default: the experiment's, and all that plugins add]
    #[arg(long = "baseline", value_name = "TYPE")]
    pub(crate) baselines: Vec<String>,
    /// Score on shifted prompts too: ood, those of arXiv 2208.01066
    #[arg(long, value_parser = ["ood"])]
    pub(crate) suite: Option<String>,
    /// Keep the results in the run directory: as evals/NAME.json with the score of each prompt, for `looped compare --eval NAME`; those of a suite need no name, and go into the report
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "")]
    pub(crate) save: Option<String>,
    /// Print the results as JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ProbeArgs {
    #[command(flatten)]
    pub(crate) run: RunDirArgs,
    #[command(flatten)]
    pub(crate) model: LoopArgs,
    /// How many prompts the probes are scored on; they are trained on 4 times as many others [default: the experiment's]
    #[arg(long, value_parser = clap::value_parser!(u32).range(2..=10_000_000))]
    pub(crate) prompts: Option<u32>,
    /// The seed of prompts and probes [default: the experiment's]
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Save the results in the run directory, with plots and in its report
    #[arg(long)]
    pub(crate) save: bool,
    /// Print the results as JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct BaselinesArgs {
    #[command(flatten)]
    pub(crate) prompts: PromptArgs,
    /// A baseline, by its type or as a table like {type = "knn", k = 5}; can be repeated [default: those that take seconds, and all that plugins add]
    #[arg(long = "baseline", value_name = "TYPE")]
    pub(crate) baselines: Vec<String>,
    /// The file to write: (B, n) under each baseline's name, f32
    #[arg(short, long, value_hint = ValueHint::AnyPath)]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// The run directories; runs that differ in their seed alone are averaged
    #[arg(required = true, value_name = "RUN", value_hint = ValueHint::DirPath)]
    pub(crate) runs: Vec<PathBuf>,
    /// The folder to make
    #[arg(short, long, value_hint = ValueHint::AnyPath)]
    pub(crate) out: PathBuf,
    /// The variant that the others' errors are divided by [default: the first]
    #[arg(long, value_name = "NAME")]
    pub(crate) against: Option<String>,
    /// Errors that differ by less than this factor count as equal
    #[arg(long, value_name = "FACTOR", default_value_t = 1.1)]
    pub(crate) margin: f64,
    /// The numbers of in-context examples in the tables [default: d, 2d and the most there are]
    #[arg(long, value_name = "K,...", value_delimiter = ',')]
    pub(crate) examples: Vec<u32>,
    /// Compare the evaluations saved under this name by `looped eval RUN --save NAME` [default: those that the runs ended with]
    #[arg(long, value_name = "NAME")]
    pub(crate) eval: Option<String>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The run directories: their lines come one below the other
    #[arg(required = true, value_name = "RUN", value_hint = ValueHint::DirPath)]
    pub(crate) runs: Vec<PathBuf>,
    /// The file to write, .csv or .parquet [default: print CSV]
    #[arg(short, long, value_hint = ValueHint::FilePath)]
    pub(crate) out: Option<PathBuf>,
    /// What to write
    #[arg(long, value_enum, default_value_t = Exported::Metrics)]
    pub(crate) what: Exported,
    /// The evaluations saved under this name by `looped eval RUN --save NAME` [default: those that the runs ended with]
    #[arg(long, value_name = "NAME")]
    pub(crate) eval: Option<String>,
    /// Print JSON instead of the file's path
    #[arg(long, requires = "out")]
    pub(crate) json: bool,
}

/// What of runs can be a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Exported {
    /// The logged steps: metrics.jsonl
    Metrics,
    /// The errors by examples and by loops: eval.json
    Evaluation,
}

#[derive(Debug, Args)]
pub(crate) struct SweepArgs {
    /// The sweep: a file with a base experiment, seeds, and variants or axes; an experiment, with lists among the settings; or the folder
    /// of a sweep that others do runs of
    #[arg(value_hint = ValueHint::AnyPath)]
    pub(crate) sweep: PathBuf,
    /// Settings of every run, as in training.train_steps=2000; of an experiment, lists too, as in 'model.n_layer=[1, 2]':
    /// every combination is a variant
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
    /// The folder of the sweep: new, or that of a sweep to be resumed
    #[arg(short, long, value_hint = ValueHint::AnyPath)]
    pub(crate) out: Option<PathBuf>,
    /// The seeds where SWEEP is an experiment: 0..9 are the ten from 0 to 9, 0,3,5 these three [default: the experiment's]
    #[arg(long, value_parser = seeds)]
    pub(crate) seeds: Option<Seeds>,
    /// Print the runs and what they will cost, and start none
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) elsewhere: ElsewhereArgs,
    /// Most runs at a time; they share the CPU's threads unless training.threads says how many each takes
    #[arg(short, long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024), help_heading = "Computation")]
    pub(crate) jobs: u32,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Sweeps whose runs are done by other processes, on machines that share the folder.
#[derive(Debug, Args)]
#[command(next_help_heading = "On other machines")]
pub(crate) struct ElsewhereArgs {
    /// Who does the runs [default: the sweep file's, else local]
    #[arg(long)]
    pub(crate) executor: Option<ExecutorName>,
    /// Write the folder of the sweep, and start nothing: others do its runs by --shard
    #[arg(long, conflicts_with_all = ["dry_run", "executor"])]
    pub(crate) plan: bool,
    /// Do the runs INDEX, INDEX + COUNT, ... of the sweep in the folder
    #[arg(long, value_name = "INDEX/COUNT", group = "asked")]
    pub(crate) shard: Option<Shard>,
    /// Compare those runs of the folder that are finished
    #[arg(long, group = "asked")]
    pub(crate) report: bool,
    /// Say how far each run is that Slurm does
    #[arg(long, group = "asked")]
    pub(crate) status: bool,
    /// Wait until Slurm has done all runs
    #[arg(long, group = "asked")]
    pub(crate) wait: bool,
    /// Take the runs out of Slurm's queue; those in work save
    #[arg(long, group = "asked")]
    pub(crate) cancel: bool,
    /// Hand the runs to Slurm again that aren't finished
    #[arg(long, group = "asked")]
    pub(crate) resubmit: bool,
}

/// Who does the runs of a sweep.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum ExecutorName {
    /// Processes on this machine
    Local,
    /// A job array of Slurm
    Slurm,
}

impl ExecutorName {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Slurm => "slurm",
        }
    }
}

/// What is asked of the folder of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Shard(Shard),
    Report,
    Status,
    Wait,
    Cancel,
    Resubmit,
}

impl Asked {
    /// The option that asks it.
    pub(crate) const fn option(self) -> &'static str {
        match self {
            Self::Shard(_) => "--shard",
            Self::Report => "--report",
            Self::Status => "--status",
            Self::Wait => "--wait",
            Self::Cancel => "--cancel",
            Self::Resubmit => "--resubmit",
        }
    }
}

impl ElsewhereArgs {
    /// What is asked of the folder of a sweep, if anything is.
    pub(crate) fn asked(&self) -> Option<Asked> {
        let flags = [
            (self.report, Asked::Report),
            (self.status, Asked::Status),
            (self.wait, Asked::Wait),
            (self.cancel, Asked::Cancel),
            (self.resubmit, Asked::Resubmit),
        ];
        let flag = flags.into_iter().find_map(|(is, asked)| is.then_some(asked));
        self.shard.map(Asked::Shard).or(flag)
    }
}

#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// What to write
    pub(crate) kind: PartKind,
    /// Its name in `type = "..."`, as in moving_mean; also the crate's
    pub(crate) name: String,
    /// The folder to make [default: NAME]
    #[arg(short, long, value_hint = ValueHint::AnyPath)]
    pub(crate) out: Option<PathBuf>,
    /// A checkout of looped, that the crate will depend on by path [default: the one this program was built from]
    #[arg(long, value_name = "PATH")]
    pub(crate) looped: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// The folder to write a page for each command to [default: print the first page]
    #[arg(short, long, value_hint = ValueHint::DirPath)]
    pub(crate) out: Option<PathBuf>,
}
