//! Command lines as a reader can paste them.

pub(crate) use looped_study::command_line;
