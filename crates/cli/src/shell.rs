//! Command lines as a reader can paste them.

pub(crate) use looped_train::{command_line, resume_by};
