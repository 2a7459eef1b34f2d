//! The templates that differ from kind to kind.

use crate::args::PartKind;

/// The part itself: `src/lib.rs`, not yet renamed.
pub(crate) const fn source(kind: PartKind) -> &'static str {
    match kind {
        PartKind::Block => include_str!("../../templates/block.rs"),
        PartKind::Injector => include_str!("../../templates/injector.rs"),
        PartKind::Task => include_str!("../../templates/task.rs"),
        PartKind::Baseline => include_str!("../../templates/baseline.rs"),
    }
}

/// Its tests.
pub(crate) const fn checks(kind: PartKind) -> &'static str {
    match kind {
        PartKind::Block => include_str!("../../templates/block_checks.rs"),
        PartKind::Injector => include_str!("../../templates/injector_checks.rs"),
        PartKind::Task => include_str!("../../templates/task_checks.rs"),
        PartKind::Baseline => include_str!("../../templates/baseline_checks.rs"),
    }
}

/// An experiment of built-in parts.
pub(crate) const EXPERIMENT: &str = include_str!("../../templates/experiment.toml");

/// What [`EXPERIMENT`] says where the new part comes in, and what it says with it.
pub(crate) const fn place(kind: PartKind) -> (&'static str, &'static str) {
    match kind {
        PartKind::Block => ("type = \"transformer\"\nn_head = 4", "type = \"part_name\"\nexpansion = 2"),
        PartKind::Injector => ("type = \"full\"", "type = \"part_name\"\nn = 12"),
        PartKind::Task => ("type = \"linear_regression\"", "type = \"part_name\"\nslope = 0.5"),
        PartKind::Baseline => {
            ("{ type = \"averaging\" }]", "{ type = \"averaging\" }, { type = \"part_name\", rate = 0.5 }]")
        }
    }
}
