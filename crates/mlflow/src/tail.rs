//! `metrics.jsonl` as metrics of MLflow, from where the server stands, in batches that one request takes.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use looped_train::Record;

use crate::problem::{Problem, Result};
use crate::server::{METRICS, Metric};
use crate::text::name;

/// The most bytes that are read for a batch: more than the lines of one can have.
const CHUNK: u64 = 1 << 20;

/// Reads what a training has logged since the last look.
pub(crate) struct Tail {
    path: PathBuf,
    /// The first byte that wasn't read.
    offset: u64,
    /// Steps up to this one are on the server.
    after: Option<i64>,
    /// When the last record was written, in milliseconds since 1970.
    clock: i64,
    /// Its step.
    last: Option<i64>,
}

/// The metrics of some records.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Batch {
    pub(crate) metrics: Vec<Metric>,
    pub(crate) last_step: i64,
}

impl Tail {
    /// Reads the records of steps beyond `after`, of which the one before was at `clock`.
    pub(crate) fn new(path: PathBuf, after: Option<i64>, clock: i64) -> Self {
        Self { path, offset: 0, after, clock, last: after }
    }

    /// The next records, no more than one request takes; nothing where there are none.
    pub(crate) fn next(&mut self) -> Result<Option<Batch>> {
        loop {
            let Some((text, written)) = self.chunk()? else { return Ok(None) };
            let (records, bytes) = self.records(&text);
            self.offset += bytes as u64;
            let at_end = bytes == text.len();
            if let Some(batch) = self.batch(&records, at_end.then_some(written)) {
                return Ok(Some(batch));
            }
            if bytes == 0 {
                return Ok(None);
            }
        }
    }

    /// Whole lines that weren't read yet, and when the last was written.
    fn chunk(&self) -> Result<Option<(Vec<u8>, i64)>> {
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file.map_err(Problem::at(&self.path))?,
        };
        let mut text = Vec::new();
        file.seek(SeekFrom::Start(self.offset)).map_err(Problem::at(&self.path))?;
        (&mut file).take(CHUNK).read_to_end(&mut text).map_err(Problem::at(&self.path))?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        text.truncate(whole);
        Ok((whole > 0).then(|| (text, modified(&self.path).unwrap_or(self.clock))))
    }

    /// The first records of a text whose metrics one request takes, and how many bytes they and what is passed over have.
    fn records(&self, text: &[u8]) -> (Vec<Record>, usize) {
        let (mut records, mut metrics, mut bytes) = (Vec::new(), 0, 0);
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let record: Option<Record> = serde_json::from_slice(line).ok();
            let new = record.filter(|record| self.after.is_none_or(|after| record.step as i64 > after));
            if let Some(record) = new {
                metrics += record.named().len();
                if metrics > METRICS && !records.is_empty() {
                    break;
                }
                records.push(record);
            }
            bytes += line.len();
        }
        (records, bytes)
    }

    /// The lines have no times, but the speed between them. So a record's time is the one before's and what passed between, and that of the
    /// last is when the file was written; a pause of the training comes before the first of them.
    fn batch(&mut self, records: &[Record], written: Option<i64>) -> Option<Batch> {
        let mut times = Vec::with_capacity(records.len());
        for record in records {
            let step = record.step as i64;
            let steps = step - self.last.unwrap_or(step);
            let passed = steps as f64 / record.steps_per_second * 1000.0;
            self.clock += if passed.is_finite() { passed as i64 } else { 0 };
            self.last = Some(step);
            times.push(self.clock);
        }
        let shift = written.map_or(0, |written| (written - self.clock).max(0));
        self.clock += shift;
        let of = |(record, time): (&Record, &i64)| {
            let (timestamp, step) = (time + shift, record.step as i64);
            let metric =
                move |(key, value): (String, f64)| Metric { key: name(&key), value, timestamp, step };
            record.named().into_iter().map(metric).collect::<Vec<_>>()
        };
        let last_step = self.last.filter(|_| !records.is_empty())?;
        Some(Batch { metrics: records.iter().zip(&times).flat_map(of).take(METRICS).collect(), last_step })
    }
}

/// When a file was written last, in milliseconds since 1970.
pub(crate) fn modified(path: &Path) -> Option<i64> {
    let modified = std::fs::metadata(path).and_then(|about| about.modified()).ok()?;
    i64::try_from(modified.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}
