//! Arguments of the laboratory's commands.

use clap::Args;

use super::shared::{DeviceArgs, RunDirArgs};

/// What they share.
#[derive(Debug, Args)]
pub(crate) struct LabArgs {
    #[command(flatten)]
    pub(crate) run: RunDirArgs,
    /// How often to loop [default: the experiment's; of `stability` 10 times the trained loops]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) loops: Option<u32>,
    /// How many prompts [default: the experiment's, 256 at most]
    #[arg(long, value_parser = clap::value_parser!(u32).range(2..=10_000_000))]
    pub(crate) prompts: Option<u32>,
    /// The seed of the prompts [default: the experiment's]
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Keep the results in the run directory as lab/NAME.json, with plots and in its report [default NAME: the command's]
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "")]
    pub(crate) save: Option<String>,
    /// Print the results as JSON instead of tables
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ExitsArgs {
    #[command(flatten)]
    pub(crate) lab: LabArgs,
    /// The threshold at which it is said whether a rule fires
    #[arg(long, default_value_t = 0.03, value_parser = threshold)]
    pub(crate) threshold: f64,
}

/// A number above 0.
fn threshold(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(value) if value > 0.0 && f64::is_finite(value) => Ok(value),
        _ => Err("allowed: a number above 0".to_owned()),
    }
}

#[derive(Debug, Args)]
pub(crate) struct MatchArgs {
    #[command(flatten)]
    pub(crate) lab: LabArgs,
    /// Most steps of a solver
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) steps: u32,
}
