//! Runs that are done only while they are held.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Ended, Lease, Taking, Terms};
use crate::sweep::{Ending, Executor, Job, PlannedRun, RunState};

/// Another executor, for a folder that others work in too: a run waits until its lease can be had. Where that is lost, the run is ended at once, and
/// waits again.
pub struct Leased<E> {
    inner: Arc<E>,
    folder: PathBuf,
    host: String,
    terms: Terms,
}

impl<E: Executor + 'static> Leased<E> {
    /// Runs of the sweep in `folder`, done by `inner` on this machine.
    #[must_use]
    pub fn new(inner: E, folder: &Path, host: &str, terms: Terms) -> Self {
        Self { inner: Arc::new(inner), folder: folder.to_owned(), host: host.to_owned(), terms }
    }
}

impl<E: Executor + 'static> Executor for Leased<E> {
    fn slots(&self) -> usize {
        self.inner.slots()
    }

    fn start(&self, run: &PlannedRun) -> io::Result<Box<dyn Job>> {
        let taking = taking(run, &self.folder, &self.host, self.terms);
        Ok(Box::new(LeasedJob {
            inner: Arc::clone(&self.inner),
            run: run.clone(),
            folder: self.folder.clone(),
            host: self.host.clone(),
            terms: self.terms,
            state: State::Waiting(taking),
        }))
    }
}

fn taking(run: &PlannedRun, folder: &Path, host: &str, terms: Terms) -> Taking {
    let holder = format!("{host} (process {})", std::process::id());
    Taking::new(&folder.join("leases"), &run.stem(), &holder, terms)
}

struct LeasedJob<E> {
    inner: Arc<E>,
    run: PlannedRun,
    folder: PathBuf,
    host: String,
    terms: Terms,
    state: State,
}

enum State {
    /// Somebody else may be doing it.
    Waiting(Taking),
    /// We do it.
    Held(Lease, Box<dyn Job>),
    /// It has ended.
    Over,
}

impl<E: Executor> LeasedJob<E> {
    /// Ends here, and says so in the folder.
    fn end(&mut self, ending: Ending) -> Ending {
        // The run's own directory tells the same: the file is for whoever asks how it went.
        let _ = Ended::of(&ending, &self.host).write(&self.folder, &self.run);
        self.state = State::Over;
        ending
    }
}

impl<E: Executor> Job for LeasedJob<E> {
    fn ended(&mut self) -> io::Result<Option<Ending>> {
        match &mut self.state {
            State::Waiting(taking) => {
                let Some(lease) = taking.attempt()? else { return Ok(None) };
                if self.run.state() == RunState::Finished {
                    return Ok(Some(self.end(Ending::Finished)));
                }
                Ended::forget(&self.folder, &self.run);
                let job = self.inner.start(&self.run)?;
                self.state = State::Held(lease, job);
                Ok(None)
            }
            State::Held(lease, job) => {
                if !lease.is_held() {
                    // Another may do it from now on.
                    job.end_at_once();
                    let again = taking(&self.run, &self.folder, &self.host, self.terms);
                    self.state = State::Waiting(again);
                    return Ok(None);
                }
                let Some(ending) = job.ended()? else { return Ok(None) };
                Ok(Some(self.end(ending)))
            }
            State::Over => Ok(Some(Ending::Stopped("it was not begun".to_owned()))),
        }
    }

    fn ask_to_stop(&mut self) {
        match &mut self.state {
            State::Held(_, job) => job.ask_to_stop(),
            state => *state = State::Over,
        }
    }

    fn end_at_once(&mut self) {
        if let State::Held(_, job) = &mut self.state {
            job.end_at_once();
        }
    }
}
