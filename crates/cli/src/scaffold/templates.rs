//! The templates that differ from kind to kind.

use looped_core::Kind;

/// The part itself: `src/lib.rs`, not yet renamed.
pub(crate) const fn source(kind: Kind) -> &'static str {
    match kind {
        Kind::Block => include_str!("../../templates/block.rs"),
        Kind::Injector => include_str!("../../templates/injector.rs"),
        Kind::Task => include_str!("../../templates/task.rs"),
        Kind::Baseline => include_str!("../../templates/baseline.rs"),
    }
}

/// Its tests.
pub(crate) const fn checks(kind: Kind) -> &'static str {
    match kind {
        Kind::Block => include_str!("../../templates/block_checks.rs"),
        Kind::Injector => include_str!("../../templates/injector_checks.rs"),
        Kind::Task => include_str!("../../templates/task_checks.rs"),
        Kind::Baseline => include_str!("../../templates/baseline_checks.rs"),
    }
}

/// An experiment of built-in parts.
pub(crate) const EXPERIMENT: &str = include_str!("../../templates/experiment.toml");

/// What [`EXPERIMENT`] says where the new part comes in, and what it says with it.
pub(crate) const fn place(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Block => ("type = \"transformer\"\nn_head = 4", "type = \"part_name\"\nexpansion = 2"),
        Kind::Injector => ("type = \"full\"", "type = \"part_name\"\nn = 12"),
        Kind::Task => ("type = \"linear_regression\"", "type = \"part_name\"\nslope = 0.5"),
        Kind::Baseline => {
            ("{ type = \"averaging\" }]", "{ type = \"averaging\" }, { type = \"part_name\", rate = 0.5 }]")
        }
    }
}
