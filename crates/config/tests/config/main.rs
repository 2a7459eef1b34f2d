//! Experiment files, from text to experiment and back.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use looped_blocks as _;
use looped_cpu as _;
use looped_eval as _;
use looped_reference as _;
use looped_tasks as _;

mod layering;
mod messages;
mod never_panics;
mod ramps;
mod resolved;
mod schema;
mod support;
mod sweeps;
mod toy;
mod translation;
