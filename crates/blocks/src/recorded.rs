//! The blocks as they are recorded: written once, run by every engine.

mod lstm;
mod mlp;
mod sequential;
mod ssm;
mod transformer;

pub(crate) use lstm::Lstm;
pub(crate) use sequential::Sequential;
pub(crate) use ssm::Ssm;
pub(crate) use transformer::Transformer;
