//! A sweep as a job array of Slurm: the program runs itself on the nodes, one run a task, in the sweep's folder, which they share.
//!
//! `sbatch`, `squeue`, `scontrol` and `scancel` are all that is asked of Slurm, and `sacct` where there is accounting. A task takes its run as
//! every process does that shares a sweep's folder ([`Leased`](crate::sweep::Leased)). Shortly before its time is up Slurm sends it SIGUSR1; it
//! saves, and puts itself back into the queue.

mod command;
mod script;
mod state;
mod submission;

pub use command::{requeue_this_job, version};
pub use state::{RunAt, TaskState};
pub use submission::{Submission, submit};

/// The folder of all that concerns Slurm, in the sweep's.
const FOLDER: &str = "slurm";
