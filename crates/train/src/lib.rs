//! Training: an [`Experiment`](looped_config::Experiment) becomes a [`Trainer`], and [`train`] takes it to its end in a
//! [`RunDir`].
//!
//! The whole of a step is [`Trainer::step`]: draw prompts, take the loss and its gradient through the window, update by
//! an [`Updater`]. Its two halves are [`Trainer::gradients`] and [`Trainer::apply`].
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod asked;
mod auto;
mod averaged;
mod changes;
mod checkpoint;
mod clock;
mod cost;
mod device;
mod engine;
mod error;
mod files;
mod gradients;
mod in_f64;
mod lock;
mod memory;
mod metrics;
mod model;
mod opened;
mod optimizer;
mod provenance;
mod ranks;
mod resolve;
mod run_dir;
mod session;
mod shell;
mod trainer;
mod validation;

// Engines that are there wherever a model is trained: they register themselves.
use {looped_cpu as _, looped_cuda as _, looped_reference as _};

pub use asked::States;
pub use auto::{Chosen, device_for, device_of_run};
pub use checkpoint::{Checkpoint, Checkpoints, Generator, State, decode, encode};
pub use cost::Cost;
pub use device::{device, device_and_note, device_in_words};
pub use engine::EngineChoice;
pub use error::{At, FileError, Result, TrainError};
pub use files::{replace_file, write_atomically};
pub use gradients::{Gradients, clip, global_norm};
pub use in_f64::InF64;
pub use lock::has_no_locks;
pub use looped_core::Target;
pub use memory::{
    Asked, available_memory, memory_of_predicting, memory_of_scoring, memory_on_gpu, opened_and_predicting,
    refuse_what_does_not_fit,
};
pub use metrics::{Metrics, Record};
pub use model::{Model, StepPlan};
pub use opened::{Opened, gives_way};
pub use optimizer::{Adam, AdamW, Muon, Scale, Updater, default_optimizer};
pub use provenance::{Build, End, How, Provenance, Session, host};
pub use ranks::{Communicator, Lost, Ranks, Waits};
pub use resolve::resolve;
pub use run_dir::RunDir;
pub use session::{Observer, Outcome, follow, train};
pub use shell::{command_line, resume_by};
pub use trainer::{StepGradients, StepReport, Trainer};
pub use validation::Validation;
