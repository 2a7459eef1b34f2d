//! A sweep: the runs that a file asks for, done side by side, taken up again where they stopped.

mod children;
mod file;
mod grid;
mod plan;
mod setting;
mod variants;

pub(crate) use children::{Failed, Workers};
pub(crate) use file::SweepFile;
pub(crate) use plan::Plan;
