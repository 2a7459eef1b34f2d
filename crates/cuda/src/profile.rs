//! Where a step's time goes.

use std::collections::BTreeMap;

use looped_gpu::{Program, Result};

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
    /// Each kind of operation: what it is called, how often it runs, and the microseconds of one, timed alone.
    pub operations: Vec<(String, usize, f32)>,
}

impl Profile {
    pub(crate) fn of(program: &Program, bytes: usize) -> Result<Self> {
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
            operations.push((name.to_owned(), count, each[2] * 1e3 / REPEATS as f32));
        }
        operations.sort_by(|a, b| (b.1 as f32 * b.2).total_cmp(&(a.1 as f32 * a.2)));
        Ok(Self { step: [times[0], times[STEPS / 2], times[STEPS - 1]], bytes, operations })
    }
}

impl std::fmt::Display for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [least, median, most] = self.step;
        let count: usize = self.operations.iter().map(|operation| operation.1).sum();
        writeln!(
            f,
            "{median:.3} ms a step on the GPU (median of {STEPS}; {least:.3} to {most:.3}), {count} operations, {} MB",
            self.bytes >> 20
        )?;
        writeln!(f, "{:>9} {:>6} {:>9}  each operation alone, back to back", "ms", "times", "us each")?;
        let mut total = 0.0;
        for (name, times, each) in &self.operations {
            let all = *times as f32 * each / 1e3;
            total += all;
            writeln!(f, "{all:9.3} {times:6} {each:9.2}  {name}")?;
        }
        write!(f, "{total:9.3} in all")
    }
}
