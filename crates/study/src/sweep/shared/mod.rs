//! Sweeps whose runs are done by several processes, on machines that share a folder.
//!
//! One process plans the sweep and writes its folder. Any number of others then take its runs, each a [`Shard`] of them. Who does a run holds
//! its [`Lease`]. How each run ended stands in the folder ([`Ended`]), so that whoever compares them knows.

mod ended;
mod lease;
mod leased;
mod record;
mod shard;

pub use ended::Ended;
pub use lease::{Lease, Taking, Terms};
pub use leased::Leased;
pub use record::SweepRecord;
pub use shard::Shard;
