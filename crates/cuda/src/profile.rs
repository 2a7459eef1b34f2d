//! Where a step's time goes.

use std::collections::BTreeMap;

use looped_gpu::{Operation, Program, Result};

/// How often an operation is timed, one after the other.
const REPEATS: usize = 20;
/// How often a whole step is.
const STEPS: usize = 50;

/// The times of a training step on a GPU.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Milliseconds of a whole step on the GPU: the least, the median and the most of 50.
    pub step: [f32; 3],
    /// Bytes of memory.
    pub bytes: usize,
    /// Each kind of operation, those first that take longest in all.
    pub operations: Vec<Timed>,
}

/// A kind of operation.
#[derive(Clone, Debug)]
pub struct Timed {
    /// What it is called.
    pub name: String,
    /// How often it runs in a step.
    pub count: usize,
    /// The microseconds of one, timed alone.
    pub us: f32,
    /// The bytes of memory that it touches, at most.
    pub bytes: usize,
    /// Its floating-point operations, if it is a product.
    pub flops: f64,
}

impl Timed {
    /// What it takes of its time to move its bytes, or to do its operations, at a card's rates: TB/s and TFLOP/s. More than 1 is less memory than
    /// it could touch, or memory that lay in the cache.
    #[must_use]
    pub fn of_roof(&self, [terabytes, teraflops]: [f64; 2]) -> f64 {
        (self.bytes as f64 / terabytes).max(self.flops / teraflops) * 1e-6 / f64::from(self.us)
    }
}

impl Profile {
    pub(crate) fn of(program: &Program, all: &[Operation], bytes: usize) -> Result<Self> {
        let whole = program.capture(0..program.len())?;
        whole.time(10)?;
        let mut times = whole.time(STEPS)?;
        times.sort_by(f32::total_cmp);
        let mut kinds: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for (index, name) in program.names().enumerate() {
            // The last of a kind: the first of some has less to do.
            let kind = kinds.entry(name).or_insert((index, 0));
            *kind = (index, kind.1 + 1);
        }
        let mut operations = Vec::new();
        for (name, (index, count)) in kinds {
            let graph = program.capture(std::iter::repeat_n(index, REPEATS))?;
            graph.replay()?;
            let mut each = graph.time(5)?;
            each.sort_by(f32::total_cmp);
            let us = each[2] * 1e3 / REPEATS as f32;
            let (bytes, flops) = (all[index].bytes(), all[index].flops());
            operations.push(Timed { name: name.to_owned(), count, us, bytes, flops });
        }
        operations.sort_by(|a, b| (b.count as f32 * b.us).total_cmp(&(a.count as f32 * a.us)));
        Ok(Self { step: [times[0], times[STEPS / 2], times[STEPS - 1]], bytes, operations })
    }
}

impl std::fmt::Display for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [least, median, most] = self.step;
        let count: usize = self.operations.iter().map(|operation| operation.count).sum();
        writeln!(
            f,
            "{median:.3} ms a step on the GPU (median of {STEPS}; {least:.3} to {most:.3}), {count} operations, {} MB",
            self.bytes >> 20
        )?;
        let heads = ["ms", "times", "us each", "TB/s", "TFLOP/s"];
        let [ms, times, each, bytes, flops] = heads;
        writeln!(
            f,
            "{ms:>9} {times:>6} {each:>9} {bytes:>6} {flops:>8}  each operation alone, back to back"
        )?;
        let mut total = 0.0;
        for of @ Timed { name, count, us, .. } in &self.operations {
            let all = *count as f32 * us / 1e3;
            total += all;
            let [bytes, flops] = [of.bytes as f64, of.flops].map(|work| work * 1e-6 / f64::from(*us));
            writeln!(f, "{all:9.3} {count:6} {us:9.2} {bytes:6.2} {flops:8.1}  {name}")?;
        }
        write!(f, "{total:9.3} in all")
    }
}
