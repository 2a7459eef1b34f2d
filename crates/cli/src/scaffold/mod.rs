//! `looped new`: a crate with a component of your own, from the templates in `templates/`.
//!
//! Templates are real files with placeholders that are Rust names themselves: `part_name` and `PartName` for the part,
//! `part_kind` for its kind, `LOOPED` for the folder of looped's workspace.

mod files;
mod name;
mod templates;
mod workspace;

pub(crate) use files::files;
pub(crate) use name::Name;
pub(crate) use workspace::Workspace;
