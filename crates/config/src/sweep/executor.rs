//! `[executor]` of a sweep file: where its runs are done.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the runs of a sweep are done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ExecutorConfig {
    /// Processes on this machine.
    Local(LocalConfig),
    /// A job array of the scheduler Slurm.
    Slurm(SlurmConfig),
}

impl Default for ExecutorConfig {
    fn default() -> Self {
        Self::Local(LocalConfig {})
    }
}

/// Processes on this machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LocalConfig {}

/// What the runs ask of Slurm. What isn't given is as the cluster has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlurmConfig {
    /// The partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// The account that pays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The quality of service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qos: Option<String>,
    /// Time of a run, as Slurm writes it: `30` minutes, `4:00:00`, `2-12:00:00`. A run that needs more saves before it is up, and goes back
    /// into the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Cores of a run, and its threads unless the experiment says how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    pub cpus: Option<u32>,
    /// Memory of a run, as in `4G`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// GPUs of a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    pub gpus: Option<u32>,
    /// Features that a node must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constraint: Option<String>,
    /// Most runs at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub max_parallel: Option<u32>,
    /// Seconds before a run's time is up at which it is told to save.
    #[serde(default = "warning")]
    #[schemars(range(min = 1, max = 65535))]
    pub warn_seconds: u32,
    /// Lines of the job's script before the run, as in `module load cuda`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prologue: Vec<String>,
}

impl SlurmConfig {
    /// As the cluster has everything.
    #[must_use]
    pub fn usual() -> Self {
        Self { warn_seconds: warning(), ..Self::default() }
    }

    /// What is asked for, as options of `sbatch`.
    #[must_use]
    pub fn options(&self) -> Vec<String> {
        let text =
            |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("--{name}={value}"));
        let number = |name: &str, value: Option<u32>| value.map(|value| format!("--{name}={value}"));
        [
            text("partition", &self.partition),
            text("account", &self.account),
            text("qos", &self.qos),
            text("time", &self.time),
            number("cpus-per-task", self.cpus),
            text("mem", &self.memory),
            number("gpus", self.gpus),
            text("constraint", &self.constraint),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

const fn warning() -> u32 {
    120
}
