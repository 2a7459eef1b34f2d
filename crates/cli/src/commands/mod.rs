//! One command a file.

pub(crate) mod baselines;
pub(crate) mod check;
pub(crate) mod compare;
pub(crate) mod completions;
pub(crate) mod eval;
pub(crate) mod exits;
mod explain;
pub(crate) mod export;
pub(crate) mod import;
mod lab;
pub(crate) mod list;
pub(crate) mod ls;
pub(crate) mod man;
pub(crate) mod matching;
pub(crate) mod new;
pub(crate) mod plan;
pub(crate) mod predict;
pub(crate) mod probe;
pub(crate) mod report;
pub(crate) mod resume;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod stability;
pub(crate) mod sweep;
