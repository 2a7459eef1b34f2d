//! What long work shows while it runs: a bar on a terminal, plain lines elsewhere; and what follows a training: TensorBoard, MLflow.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use looped_core::Watch;
use looped_study::{Events, Tracker};
use looped_train::{Observer, Record, RunDir, TrainError};

use crate::stop::Stop;
use crate::terminal;

/// Off a terminal, at most one line in this time.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows a training's records, writes them as TensorBoard events, says what its tracker says and passes on a wish to stop.
pub(crate) struct Progress<'a> {
    stop: Stop,
    bar: Option<ProgressBar>,
    last_line: Option<Instant>,
    total: usize,
    events: Events,
    tracker: &'a Tracker,
}

impl<'a> Progress<'a> {
    pub(crate) fn new(
        run: &RunDir,
        tracker: &'a Tracker,
        steps_done: usize,
        total: usize,
        stop: Stop,
    ) -> Result<Self, TrainError> {
        let events = Events::open(run.path(), steps_done)?;
        let bar = is_shown().then(|| training_bar(steps_done, total));
        Ok(Self { stop, bar, last_line: None, total, events, tracker })
    }

    fn print(&mut self, record: &Record) {
        let stage = record.stage;
        let validation = record.validation_loss_last_stage;
        let validation = validation.map_or(String::new(), |loss| format!(", validation loss {loss:.4}"));
        let skipped = match record.skipped {
            0 => String::new(),
            n => format!(", {n} steps skipped that weren't finite"),
        };
        let text = format!(
            "loss {:.4}{validation}, {} dims, {} points, {} loops{skipped}",
            record.loss, stage.dims, stage.points, stage.loops
        );
        if let Some(bar) = &self.bar {
            bar.set_message(text);
            return;
        }
        let (done, total) = (record.step + 1, self.total);
        if done == total || self.last_line.is_none_or(|at| at.elapsed() >= LINE_EVERY) {
            self.last_line = Some(Instant::now());
            let left = total.saturating_sub(done) as f64 / record.steps_per_second;
            eprintln!(
                "step {done}/{total}: {text}, {:.2} steps/s, {} left",
                record.steps_per_second,
                clock(left)
            );
        }
    }
}

impl Progress<'_> {
    /// Says a line above the bar.
    fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }
}

/// Whether bars are for somebody.
fn is_shown() -> bool {
    std::io::stderr().is_terminal() && !terminal::is_quiet()
}

impl Observer for Progress<'_> {
    fn stepped(&mut self, step: usize, _: f64) {
        if let Some(bar) = &self.bar {
            bar.set_position(step as u64 + 1);
        }
    }

    fn recorded(&mut self, record: &Record) -> Result<(), TrainError> {
        self.print(record);
        self.tracker.begun();
        self.tracker.said().iter().for_each(|line| self.say(line));
        self.events.record(record)
    }

    fn doubted(&mut self, step: usize, what: &str) {
        self.say(&format!("step {}: {what}", step + 1));
    }

    fn wants_stop(&self) -> bool {
        self.stop.asked()
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.abandon();
        }
    }
}

/// Shows how far an evaluation or a probe is, and passes on a wish to stop.
pub(crate) struct Meter {
    stop: Stop,
    /// What is done, as in `evaluating`.
    doing: &'static str,
    /// What is counted, as in `prompts`.
    unit: &'static str,
    bar: Option<ProgressBar>,
    last_line: Mutex<Instant>,
}

impl Meter {
    pub(crate) fn new(doing: &'static str, unit: &'static str) -> crate::failure::Outcome<Self> {
        let bar = is_shown().then(|| {
            let bar = ProgressBar::new(0).with_message(format!("{unit}, {doing}"));
            styled(&bar, "{bar:24} {pos}/{len} {msg}, {eta} left");
            bar
        });
        Ok(Self { stop: Stop::listen()?, doing, unit, bar, last_line: Mutex::new(Instant::now()) })
    }
}

impl Watch for Meter {
    fn advanced(&self, done: usize, total: usize) {
        if let Some(bar) = &self.bar {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
            return;
        }
        // A panic elsewhere while the time was written has done it no harm.
        let mut last_line = self.last_line.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if last_line.elapsed() >= LINE_EVERY {
            *last_line = Instant::now();
            eprintln!("{}: {done}/{total} {}", self.doing, self.unit);
        }
    }

    fn stopped(&self) -> bool {
        self.stop.asked()
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The bar of a training that resumes after `done` steps.
fn training_bar(done: usize, total: usize) -> ProgressBar {
    let hidden = ProgressDrawTarget::hidden();
    let bar = ProgressBar::with_draw_target(Some(total as u64), hidden).with_position(done as u64);
    // The losses come last: on a narrow terminal they are cut, and nothing wraps.
    styled(&bar, "{bar:24} {pos}/{len}, {rate}, {eta} left, {wide_msg}");
    // The steps of earlier sessions are not steps of the moments since this one began.
    bar.tick();
    bar.reset_eta();
    bar.set_draw_target(ProgressDrawTarget::stderr());
    bar
}

fn steps_per_second(state: &ProgressState, text: &mut dyn std::fmt::Write) {
    // Where it can't be written, nothing is shown.
    let _ = write!(text, "{:.1} steps/s", state.per_sec());
}

fn styled(bar: &ProgressBar, template: &str) {
    // A template that doesn't parse falls back to the plain bar.
    ProgressStyle::with_template(template)
        .into_iter()
        .for_each(|style| bar.set_style(style.with_key("rate", steps_per_second)));
}

/// Seconds as h:mm:ss.
fn clock(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "unknown time".to_owned();
    }
    let seconds = seconds.round() as u64;
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_of_a_resumed_training_counts_the_steps_of_this_session_only() {
        let bar = training_bar(1_000_000, 2_000_000);
        let begun = Instant::now();
        for step in 1..=20 {
            std::thread::sleep(Duration::from_millis(10));
            bar.set_position(1_000_000 + step);
        }
        let true_rate = 20.0 / begun.elapsed().as_secs_f64();
        assert!(bar.per_sec() < 3.0 * true_rate, "{} steps a second, truly {true_rate}", bar.per_sec());
    }
}
