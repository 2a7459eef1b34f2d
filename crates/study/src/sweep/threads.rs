//! Runs in threads of this process: for programs without a `looped` to start.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use looped_config::Experiment;
use looped_core::Watch;
use looped_train::{Observer, Target, TrainError};

use crate::run::{RunEnd, resume_with, run};
use crate::sweep::executor::{Ending, Executor, Job};
use crate::sweep::plan::{PlannedRun, RunState};
use crate::{Result, StudyError};

/// Starts a thread for each run.
#[derive(Clone, Debug)]
pub struct InThreads {
    jobs: usize,
    device: Target,
}

impl InThreads {
    /// Up to `jobs` runs at a time on `device`.
    #[must_use]
    pub fn new(jobs: usize, device: impl Into<Target>) -> Self {
        Self { jobs, device: device.into() }
    }
}

impl Executor for InThreads {
    fn slots(&self) -> usize {
        self.jobs
    }

    fn start(&self, planned: &PlannedRun) -> io::Result<Box<dyn Job>> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut observer = StopAsked(Arc::clone(&stop));
        let (planned, device) = (planned.clone(), self.device.clone());
        let work = move || match planned.state() {
            RunState::New => {
                let experiment = Arc::new(Experiment::from_toml(&planned.toml)?);
                run(experiment, &planned.folder, &device, &mut observer)
            }
            _ => resume_with(&planned.folder, &planned.evaluation_changes(), &device, &mut observer),
        };
        let thread = std::thread::Builder::new().name("run".to_owned()).spawn(work)?;
        Ok(Box::new(Thread { thread: Some(thread), stop }))
    }
}

struct StopAsked(Arc<AtomicBool>);

impl Observer for StopAsked {
    fn wants_stop(&self) -> bool {
        self.stopped()
    }

    fn evaluation(&self) -> &dyn Watch {
        self
    }
}

impl Watch for StopAsked {
    fn stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

struct Thread {
    /// None once it has been asked how it ended.
    thread: Option<JoinHandle<Result<RunEnd>>>,
    stop: Arc<AtomicBool>,
}

impl Job for Thread {
    fn ended(&mut self) -> io::Result<Option<Ending>> {
        let Some(thread) = self.thread.take_if(|thread| thread.is_finished()) else { return Ok(None) };
        Ok(Some(match thread.join() {
            Ok(Ok(RunEnd::Finished(_))) => Ending::Finished,
            Ok(Ok(RunEnd::Stopped)) => Ending::Stopped("it was asked to".to_owned()),
            Ok(Err(StudyError::Train(error @ TrainError::NonFinite { .. }))) => {
                Ending::Diverged(error.to_string())
            }
            Ok(Err(error)) => Ending::Failed(error.to_string()),
            Err(_) => Ending::Failed("its thread panicked".to_owned()),
        }))
    }

    fn ask_to_stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
