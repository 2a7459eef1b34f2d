//! The built-in function classes: one file each.
