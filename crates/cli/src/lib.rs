//! The looped command line.
