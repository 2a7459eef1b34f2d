//! A sweep: the runs that a file asks for, done side by side, and resumed where they stopped.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use looped_config::sweep::Sweep;
//! use looped_study::sweep::{LocalProcesses, Plan, SweepFolder, carry_out};
//! use looped_study::{Comparison, ReportContext};
//!
//! let sweep = Sweep::read(Path::new("sweep.toml"))?;
//! let plan = Plan::new(&sweep, &[], Path::new("runs/sweep"))?;
//! let folder = SweepFolder::take(&plan, &sweep)?;
//! carry_out(&plan, &LocalProcesses::of_this_program(2, "auto"), &mut ());
//! Comparison::of(&plan.finished())?.publish(&folder.report(), &ReportContext::default())?;
//! # Ok::<(), looped_study::StudyError>(())
//! ```

mod executor;
mod folder;
mod local;
mod plan;
mod program;
mod report;
mod schedule;
mod shared;
pub mod slurm;
mod threads;

pub use executor::{Ending, Executor, Job};
pub use folder::SweepFolder;
pub use local::LocalProcesses;
pub use plan::{Plan, PlannedRun, PlannedVariant, RunState};
pub use program::Program;
pub use report::report;
pub use schedule::{FailedRun, SweepEvent, SweepObserver, SweepOutcome, carry_out};
pub use shared::{Ended, Lease, Leased, Shard, SweepRecord, Taking, Terms};
pub use threads::InThreads;
