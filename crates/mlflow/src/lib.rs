//! A run on an MLflow server: what `metrics.jsonl`, the experiment and the evaluation say, sent by its REST API while the run goes on.
//!
//! A [`Tracker`] follows the directory of one run. A thread of its own reads what training has added to `metrics.jsonl` and sends it; training
//! itself neither sends nor waits. So the file is the queue: what a server misses while it can't be reached is sent later, by this process or
//! by the one that resumes the run. What the server has, it is asked.
//!
//! `mlflow.json` in the run's directory says which run of which server it is ([`Link`]).
//! The environment says where the server is, by the variables that MLflow's own client reads ([`Settings`]).
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed test is a panic"))]

mod about;
mod artifacts;
mod link;
mod problem;
mod sender;
mod server;
mod settings;
mod tail;
mod text;
mod tracker;

pub use link::Link;
pub use settings::Settings;
pub use tracker::Tracker;

#[cfg(test)]
mod tests;
