//! From an experiment file and `key=value` overrides to a validated [`Experiment`].
//!
//! [`load()`] reads the file and those it `extends`, translates the published YAML form where it meets it, and lays the
//! overrides on top. The tree that comes of it is checked against the schema of [`Experiment`], with every linked part's
//! own schema in its place, before serde sees it: so all problems are told together, each with the file that holds it,
//! its key, what is allowed and the nearest name.
//!
//! ```
//! # use looped_blocks as _; use looped_tasks as _; use looped_eval as _;
//! let quickstart = concat!(env!("CARGO_MANIFEST_DIR"), "/../../experiments/quickstart_adam.toml");
//! let loaded = looped_config::load(quickstart, &["training.learning_rate=3e-4".to_owned()])?;
//! assert_eq!(loaded.experiment.training.learning_rate, 3e-4);
//!
//! let error = looped_config::load(quickstart, &["model.n_emb=32".to_owned()]).unwrap_err();
//! assert!(error.to_string().starts_with("command line: model.n_emb: is unknown; did you mean n_embd?"));
//! # Ok::<(), looped_config::ConfigError>(())
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod check;
mod describe;
mod difference;
mod engine;
mod error;
mod experiment;
mod layers;
mod limits;
mod load;
mod notes;
mod overrides;
mod paths;
mod place;
mod read;
mod resolved;
mod schema;
mod seed;
mod semantics;
mod shell;
mod suggest;
pub mod sweep;
mod text;
mod trail;
mod translate;
mod unroll;
mod wording;
mod yaml;

pub use describe::{KeyHelp, part_keys};
pub use difference::{Difference, differences};
pub use error::{ConfigError, Finding};
pub use experiment::{EngineName, EvaluationConfig, Experiment, Training};
pub use load::{Loaded, load, load_run};
pub use looped_core::Precision;
pub use place::Place;
pub use schema::json_schema;
pub use shell::command_line;
