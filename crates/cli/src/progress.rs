//! What a training shows while it runs: a bar on a terminal, plain lines elsewhere; and its TensorBoard events.

use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use indicatif::{ProgressBar, ProgressStyle};
use looped_report::tensorboard::{EventWriter, newest, truncate_after};
use looped_train::{Observer, Record, RunDir, TrainError};

use crate::stop::Stop;

/// Off a terminal, at most one line in this time.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows a training's records, writes them as TensorBoard events and passes on a wish to stop.
pub(crate) struct Progress {
    stop: Stop,
    bar: Option<ProgressBar>,
    last_line: Option<Instant>,
    total: usize,
    events: EventWriter,
}

impl Progress {
    pub(crate) fn new(run: &RunDir, steps_done: usize, total: usize, stop: Stop) -> Result<Self, TrainError> {
        let events = open_events(run.path(), steps_done).map_err(events_failed)?;
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(total as u64).with_position(steps_done as u64);
            // A template that doesn't parse falls back to the plain bar.
            let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {msg} {per_sec} {eta} left");
            style.into_iter().for_each(|style| bar.set_style(style));
            bar
        });
        Ok(Self { stop, bar, last_line: None, total, events })
    }

    fn print(&mut self, record: &Record) {
        let stage = record.stage;
        let held_out = record.validation_loss.map_or(String::new(), |loss| format!(", held out {loss:.4}"));
        let text = format!(
            "loss {:.4}{held_out}, {} dims, {} points, {} loops",
            record.loss, stage.dims, stage.points, stage.loops
        );
        if let Some(bar) = &self.bar {
            bar.set_message(text);
            return;
        }
        let is_last = record.step + 1 == self.total;
        if is_last || self.last_line.is_none_or(|at| at.elapsed() >= LINE_EVERY) {
            self.last_line = Some(Instant::now());
            let left = (self.total - record.step - 1) as f64 / record.steps_per_second;
            let total = self.total - 1;
            eprintln!(
                "step {}/{total}: {text}, {:.2} steps/s, {} left",
                record.step,
                record.steps_per_second,
                clock(left)
            );
        }
    }
}

impl Observer for Progress {
    fn stepped(&mut self, step: usize, _: f64) {
        if let Some(bar) = &self.bar {
            bar.set_position(step as u64 + 1);
        }
    }

    fn recorded(&mut self, record: &Record) -> Result<(), TrainError> {
        self.print(record);
        let mut values = vec![
            ("train/loss", record.loss as f32),
            ("train/grad_norm", record.grad_norm as f32),
            ("train/learning_rate", record.learning_rate as f32),
            ("train/steps_per_second", record.steps_per_second as f32),
            ("curriculum/dims", record.stage.dims as f32),
            ("curriculum/points", record.stage.points as f32),
            ("curriculum/loops", record.stage.loops as f32),
        ];
        values.extend(record.validation_loss.map(|loss| ("validation/loss", loss as f32)));
        let written =
            self.events.scalars(now(), record.step as u64, &values).and_then(|()| self.events.flush());
        written.map_err(events_failed)
    }

    fn wants_stop(&self) -> bool {
        self.stop.asked()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.abandon();
        }
    }
}

/// Goes on with the events of a resumed run, less those of steps that will come again.
fn open_events(folder: &Path, steps_done: usize) -> Result<EventWriter, looped_report::Error> {
    match newest(folder)? {
        None => EventWriter::create(folder, now()),
        Some(path) if steps_done == 0 => {
            truncate_after(&path, 0)?;
            EventWriter::create(folder, now())
        }
        Some(path) => {
            truncate_after(&path, steps_done as u64 - 1)?;
            EventWriter::append(&path, now())
        }
    }
}

fn events_failed(error: looped_report::Error) -> TrainError {
    TrainError::Observer(format!("TensorBoard events: {error}"))
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// Seconds as h:mm:ss.
fn clock(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "unknown time".to_owned();
    }
    let seconds = seconds.round() as u64;
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
