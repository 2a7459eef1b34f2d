//! A training that TensorBoard and MLflow can follow, beside what another observer does.

use looped_core::Watch;
use looped_mlflow::Tracker;
use looped_train::{Observer, Record, Result};

use crate::events::Events;

/// Passes on to an observer what it sees, and the records to [`Events`].
pub(crate) struct Followed<'a> {
    pub(crate) events: Events,
    pub(crate) tracker: &'a Tracker,
    pub(crate) observer: &'a mut dyn Observer,
}

impl Observer for Followed<'_> {
    fn stepped(&mut self, step: usize, loss: f64) {
        self.observer.stepped(step, loss);
    }

    fn recorded(&mut self, record: &Record) -> Result<()> {
        self.events.record(record)?;
        self.tracker.begun();
        self.tracker.said().iter().for_each(|line| self.observer.told(line));
        self.observer.recorded(record)
    }

    fn told(&mut self, line: &str) {
        self.observer.told(line);
    }

    fn doubted(&mut self, step: usize, what: &str) {
        self.observer.doubted(step, what);
    }

    fn wants_stop(&self) -> bool {
        self.observer.wants_stop()
    }

    fn evaluation(&self) -> &dyn Watch {
        self.observer.evaluation()
    }
}
