//! The states of many prompts, on all threads.

use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::Device;
use looped_core::{Looping, Prompts, Result, Stateful, Watch};
use rayon::prelude::*;

/// Numbers from which on candle shares an operation on the CPU out to threads, which wait for one another by spinning.
pub(crate) const SHARED_OUT: usize = 64 * 1024;

/// Does something with all prompts, so many at a time, on all threads; each is told the place of its first.
pub(crate) fn by_batches<M: Stateful, R: Send>(
    model: &M,
    prompts: &Prompts,
    device: &Device,
    each: impl Fn(usize, Prompts) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let (count, size) = (prompts.prompts, at_once(prompts, model.width(), device));
    let firsts: Vec<usize> = (0..count).step_by(size).collect();
    firsts.into_par_iter().map(|first| each(first, prompts.slice(first..(first + size).min(count)))).collect()
}

/// So many prompts at a time as candle takes without sharing its operations out.
fn at_once(prompts: &Prompts, width: usize, device: &Device) -> usize {
    let widest = prompts.layout.tokens(prompts.points) * 4 * width;
    if device.is_cpu() { (SHARED_OUT / widest).max(1) } else { 64 }
}

/// Runs a loop; the state after it on the host.
pub(crate) fn values(looping: &mut Looping<'_>) -> Result<Vec<f32>> {
    Ok(looping.next_state()?.flatten_all()?.to_vec1()?)
}

/// a - b
pub(crate) fn minus(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

/// The Euclidean length.
pub(crate) fn norm(values: &[f32]) -> f64 {
    values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt()
}

/// Counts what all threads have done.
pub(crate) struct Counter<'a> {
    done: AtomicUsize,
    total: usize,
    /// Pieces that the whole counts as.
    pieces: usize,
    watch: &'a dyn Watch,
}

impl<'a> Counter<'a> {
    pub(crate) fn new(total: usize, pieces: usize, watch: &'a dyn Watch) -> Self {
        Self { done: AtomicUsize::new(0), total, pieces, watch }
    }

    /// More is done.
    pub(crate) fn add(&self, more: usize) -> Result<()> {
        self.watch.check()?;
        let done = self.done.fetch_add(more, Ordering::Relaxed) + more;
        self.watch.advanced(done * self.pieces / self.total.max(1), self.pieces);
        Ok(())
    }
}
