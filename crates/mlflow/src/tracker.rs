//! The thread that sends, and what training has of it: two short calls that wait for nothing.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use looped_train::{How, resume_by};

use crate::link::Link;
use crate::sender::{Desk, End, Sender};
use crate::settings::{Pace, Settings};

/// Follows a run, where the environment names an MLflow server; else it does nothing.
///
/// It never fails: what goes wrong is [said](Tracker::said).
#[derive(Debug, Default)]
pub struct Tracker {
    shared: Option<Arc<Shared>>,
    folder: PathBuf,
    pace: Pace,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Whether `metrics.jsonl` is this session's.
    begun: bool,
    end: Option<End>,
    /// Whether the last request failed.
    fails: bool,
    /// Whether nobody waits for the thread.
    closed: bool,
    /// Whether the thread has ended, and whether with all sent.
    done: Option<bool>,
    said: Vec<String>,
}

impl Tracker {
    /// Follows the run in `folder`, by what the environment says ([`Settings::of_run`]).
    #[must_use]
    pub fn follow(folder: &Path) -> Self {
        match Settings::of_run(folder) {
            Ok(None) => Self::default(),
            Ok(Some(settings)) => Self::with(settings, folder),
            Err(problem) => Self::silent(folder, &problem),
        }
    }

    /// As [`follow`](Self::follow), for a run that is finished, if its server lacks something of it.
    #[must_use]
    pub fn catch_up(folder: &Path) -> Self {
        let lacks = Link::read(folder).is_some_and(|link| !link.complete);
        if lacks { Self::follow(folder) } else { Self::default() }
    }

    /// Follows the run in `folder` on a server.
    #[must_use]
    pub fn with(settings: Settings, folder: &Path) -> Self {
        let pace = settings.pace;
        let sender = match Sender::new(settings, folder) {
            Ok(sender) => sender,
            Err(problem) => return Self::silent(folder, &problem.to_string()),
        };
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        let started = thread::Builder::new().name("mlflow".to_owned()).spawn(move || own.work(sender, pace));
        match started {
            Ok(_) => Self { shared: Some(shared), folder: folder.to_owned(), pace },
            Err(error) => Self::silent(folder, &error.to_string()),
        }
    }

    /// Only says what is wrong.
    fn silent(folder: &Path, problem: &str) -> Self {
        let said = vec![format!("warning: {problem}. The run is not tracked")];
        let state = State { done: Some(true), said, ..State::default() };
        let shared = Shared { state: Mutex::new(state), changed: Condvar::new() };
        Self { shared: Some(Arc::new(shared)), folder: folder.to_owned(), pace: Pace::default() }
    }

    /// Training has begun: `metrics.jsonl` has no line that will be written again.
    pub fn begun(&self) {
        if let Some(shared) = &self.shared {
            shared.state().begun = true;
        }
    }

    /// What there is to be said to the user since the last time: lines that begin with `note:` or `warning:`.
    #[must_use]
    pub fn said(&self) -> Vec<String> {
        self.shared.as_ref().map_or_else(Vec::new, |shared| std::mem::take(&mut shared.state().said))
    }

    /// The session has ended: sends all that is there, as long as that takes less than a minute, and less than ten seconds where the server
    /// doesn't answer. Returns what there is to be said.
    pub fn end(self, how: How, steps_done: usize, error: Option<&str>) -> Vec<String> {
        let Some(shared) = &self.shared else { return Vec::new() };
        let mut state = shared.state();
        state.begun = true;
        state.end = Some(End { how, steps_done, error: error.map(str::to_owned) });
        shared.changed.notify_all();
        let since = Instant::now();
        while state.done.is_none() {
            let most = if state.fails { self.pace.end_away } else { self.pace.end };
            let Some(left) = most.checked_sub(since.elapsed()) else { break };
            let look = left.min(Duration::from_millis(500));
            state = shared.changed.wait_timeout(state, look).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.closed = true;
        shared.changed.notify_all();
        let mut said = std::mem::take(&mut state.said);
        if state.done != Some(true) {
            let resume = resume_by(&self.folder);
            said.push(format!("warning: MLflow lacks a part of this run; `{resume}` sends it"));
        }
        said
    }
}

impl Drop for Tracker {
    /// A run whose end isn't said goes on: the thread ends, and the server's run is as it was.
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            shared.state().closed = true;
            shared.changed.notify_all();
        }
    }
}

impl Desk for Shared {
    fn say(&self, line: String) {
        self.state().said.push(line);
    }

    fn is_closed(&self) -> bool {
        self.state().closed
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change of the state is one assignment: a panic leaves none half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the thread does.
    fn work(&self, sender: Sender, pace: Pace) {
        struct Done<'a>(&'a Shared, bool);
        impl Drop for Done<'_> {
            fn drop(&mut self) {
                self.0.state().done = Some(self.1);
                self.0.changed.notify_all();
            }
        }
        let mut done = Done(self, false);
        done.1 = self.send(sender, pace);
    }

    /// Sends until the end; whether all of it could be sent.
    fn send(&self, mut sender: Sender, pace: Pace) -> bool {
        // Each is said once: a server that comes and goes fills no log.
        let (mut retry, mut warned, mut told) = (pace.first_retry, false, false);
        loop {
            let (begun, end) = {
                let state = self.state();
                if state.closed {
                    return false;
                }
                (state.begun, state.end.clone())
            };
            let sent = sender.advance(begun, end.as_ref(), self);
            let failed = sent.is_err();
            let had_failed = std::mem::replace(&mut self.state().fails, failed);
            let pause = match sent {
                Ok(()) if end.is_some() => return !self.is_closed(),
                Ok(()) => {
                    if had_failed && !told {
                        self.say("note: MLflow answers again".to_owned());
                        told = true;
                    }
                    retry = pace.first_retry;
                    pace.look_every
                }
                Err(error) => {
                    if !warned {
                        self.say(format!(
                            "warning: MLflow: {error}. The run goes on; what the server misses is sent when it answers"
                        ));
                        warned = true;
                    }
                    if end.is_some() {
                        return false;
                    }
                    let pause = retry;
                    retry = pace.last_retry.min(2 * pause);
                    pause
                }
            };
            self.pause(pause);
        }
    }

    /// Waits, unless there is something to do.
    fn pause(&self, most: Duration) {
        let due = Instant::now() + most;
        let mut state = self.state();
        while state.end.is_none() && !state.closed {
            let Some(left) = due.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else {
                return;
            };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
