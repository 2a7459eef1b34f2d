//! Arguments that several commands have.

use std::path::PathBuf;

use clap::{Args, ValueHint};

#[derive(Debug, Args)]
pub(crate) struct ExperimentArgs {
    /// The experiment: a TOML, YAML or JSON file
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) experiment: PathBuf,
    /// Settings that win over the file's, as in model.n_layer=2
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DeviceArgs {
    /// Where to compute: auto, cpu, cuda:N
    #[arg(long, default_value = "auto", env = "LOOPED_DEVICE", help_heading = "Computation")]
    pub(crate) device: String,
}

#[derive(Debug, Args)]
pub(crate) struct RunDirArgs {
    /// The run directory
    #[arg(id = "run", value_name = "RUN", value_hint = ValueHint::DirPath)]
    pub(crate) path: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct PromptArgs {
    /// The prompts: a safetensors file with xs (B, n, d) and ys (B, n), f32
    #[arg(long, value_hint = ValueHint::FilePath)]
    pub(crate) data: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct LoopArgs {
    /// How often to loop [default: the experiment's]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) loops: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
}
