//! The `looped` binary.

fn main() {}
