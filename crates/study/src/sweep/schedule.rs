//! Which run starts when: so many at a time, those of an earlier sweep waited for, all asked to save when a stop is wanted.
//!
//! A run of its own process may outlive its sweep for a moment. The next sweep in the same folder waits for it as for
//! its own.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use looped_train::RunDir;

use crate::sweep::executor::{Ending, Executor, Job};
use crate::sweep::local::last_line;
use crate::sweep::plan::{Plan, PlannedRun, RunState};

/// From one look at the runs to the next.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// From one report on what is running to the next.
const REPORT_EVERY: Duration = Duration::from_secs(60);

/// What watches a sweep.
pub trait SweepObserver {
    /// Called for everything that a user should hear of.
    fn happened(&mut self, event: &SweepEvent<'_>) {
        let _ = event;
    }

    /// Asked all the time: `true` lets the running runs save, and starts no more.
    fn wants_stop(&self) -> bool {
        false
    }
}

/// An observer that sees nothing and never stops.
impl SweepObserver for () {}

/// What happens in a sweep.
#[derive(Clone, Debug)]
pub enum SweepEvent<'a> {
    /// Some runs were finished before.
    FoundFinished {
        /// How many.
        finished: usize,
        /// Of how many.
        total: usize,
    },
    /// A run that an earlier sweep started is still running.
    FoundRunning(&'a PlannedRun),
    /// A run starts.
    Starts(&'a PlannedRun),
    /// A run resumes.
    Resumes(&'a PlannedRun),
    /// A trained run is evaluated again, as is planned now.
    EvaluatesAgain(&'a PlannedRun),
    /// What a run said last.
    Says(&'a PlannedRun, String),
    /// A run has ended.
    Ended {
        /// Which.
        run: &'a PlannedRun,
        /// How.
        ending: &'a Ending,
        /// How long it took; nothing of a run that an earlier sweep started.
        seconds: Option<f64>,
        /// How many runs have ended, this one and earlier ones too.
        ended: usize,
        /// Of how many.
        total: usize,
    },
    /// A stop is wanted: so many runs are saving.
    Stopping(usize),
}

/// How a sweep's work ended.
#[derive(Debug)]
pub enum SweepOutcome {
    /// Every run has ended; these did not finish.
    Done(Vec<FailedRun>),
    /// The observer wanted to stop; what was running is saved.
    Stopped,
}

/// A run that did not come to its end.
#[derive(Clone, Debug)]
pub struct FailedRun {
    /// The variant and seed, in words.
    pub label: String,
    /// The variant's name.
    pub variant: String,
    /// The seed.
    pub seed: u64,
    /// The run's directory.
    pub folder: PathBuf,
    /// In a word: `diverged`, `failed` or `stopped`.
    pub why: &'static str,
    /// How it ended and what it said, and where more is to be read.
    pub reason: String,
}

/// Brings every run of a plan to its end or its failure.
pub fn carry_out(plan: &Plan, executor: &dyn Executor, observer: &mut dyn SweepObserver) -> SweepOutcome {
    let waiting: VecDeque<_> = plan.runs.iter().filter(|run| run.state() != RunState::Finished).collect();
    let total = plan.runs.len();
    let finished = total - waiting.len();
    if finished > 0 {
        observer.happened(&SweepEvent::FoundFinished { finished, total });
    }
    let mut work =
        Work { total, ended: finished, waiting, running: Vec::new(), failed: Vec::new(), observer };
    let (mut reported, mut stopping) = (Instant::now(), false);
    loop {
        if work.observer.wants_stop() && !stopping {
            stopping = true;
            work.ask_all_to_stop();
        }
        while !stopping && work.running.len() < executor.slots() && work.start_next(executor) {}
        if work.running.is_empty() {
            break;
        }
        std::thread::sleep(LOOK_EVERY);
        work.collect();
        if reported.elapsed() >= REPORT_EVERY {
            reported = Instant::now();
            work.report();
        }
    }
    if stopping { SweepOutcome::Stopped } else { SweepOutcome::Done(work.failed) }
}

/// A run in work.
struct Running<'a> {
    run: &'a PlannedRun,
    /// None if an earlier sweep started it.
    job: Option<Box<dyn Job>>,
    begun: Instant,
}

/// How far the work is.
struct Work<'a, 'o> {
    total: usize,
    ended: usize,
    waiting: VecDeque<&'a PlannedRun>,
    running: Vec<Running<'a>>,
    failed: Vec<FailedRun>,
    observer: &'o mut dyn SweepObserver,
}

impl<'a> Work<'a, '_> {
    /// Starts the next run, or waits for it where it is running without us; `false` if none is left.
    fn start_next(&mut self, executor: &dyn Executor) -> bool {
        let Some(run) = self.waiting.pop_front() else { return false };
        if RunDir::is_in_use(&run.folder) {
            self.observer.happened(&SweepEvent::FoundRunning(run));
            self.running.push(Running { run, job: None, begun: Instant::now() });
            return true;
        }
        self.observer.happened(&match run.state() {
            RunState::New => SweepEvent::Starts(run),
            RunState::ToEvaluate => SweepEvent::EvaluatesAgain(run),
            RunState::Begun | RunState::Finished => SweepEvent::Resumes(run),
        });
        match executor.start(run) {
            Ok(job) => self.running.push(Running { run, job: Some(job), begun: Instant::now() }),
            Err(error) => self.fail(run, "failed", format!("could not be started: {error}")),
        }
        true
    }

    fn ask_all_to_stop(&mut self) {
        // Those of another sweep are not ours to stop.
        self.running.retain(|running| running.job.is_some());
        self.observer.happened(&SweepEvent::Stopping(self.running.len()));
        self.running.iter_mut().filter_map(|running| running.job.as_mut()).for_each(|job| job.ask_to_stop());
    }

    /// Looks which runs have ended since the last time, and how.
    fn collect(&mut self) {
        for mut running in std::mem::take(&mut self.running) {
            let in_use = || RunDir::is_in_use(&running.run.folder);
            let Some(job) = &mut running.job else {
                if in_use() {
                    self.running.push(running);
                } else {
                    self.left_alone(running.run);
                }
                continue;
            };
            match job.ended() {
                Ok(None) => self.running.push(running),
                // A process that lost the race for the folder against one of an earlier sweep.
                Ok(Some(ending)) if ending != Ending::Finished && in_use() => {
                    self.running.push(Running { job: None, ..running });
                }
                Ok(Some(ending)) => self.end(&running, &ending),
                Err(error) => self.fail(running.run, "failed", format!("was lost: {error}")),
            }
        }
    }

    /// A run that was running without us has ended: well, or so that it is ours to resume.
    fn left_alone(&mut self, run: &'a PlannedRun) {
        if run.state() == RunState::Finished {
            self.ended += 1;
            self.tell_end(run, &Ending::Finished, None);
        } else {
            self.waiting.push_front(run);
        }
    }

    fn end(&mut self, running: &Running<'a>, ending: &Ending) {
        self.ended += 1;
        self.tell_end(running.run, ending, Some(running.begun.elapsed().as_secs_f64()));
        match ending {
            Ending::Finished => {}
            Ending::Stopped(reason) => self.fail(running.run, "stopped", reason.clone()),
            Ending::Diverged(reason) => self.fail(running.run, "diverged", reason.clone()),
            Ending::Failed(reason) => self.fail(running.run, "failed", reason.clone()),
        }
    }

    fn tell_end(&mut self, run: &PlannedRun, ending: &Ending, seconds: Option<f64>) {
        let Self { ended, total, .. } = *self;
        self.observer.happened(&SweepEvent::Ended { run, ending, seconds, ended, total });
    }

    fn fail(&mut self, run: &PlannedRun, why: &'static str, reason: String) {
        self.failed.push(FailedRun {
            label: run.label.clone(),
            variant: run.variant.clone(),
            seed: run.seed,
            folder: run.folder.clone(),
            why,
            reason,
        });
    }

    fn report(&mut self) {
        for Running { run, .. } in &self.running {
            self.observer.happened(&SweepEvent::Says(run, last_line(&run.log)));
        }
    }
}
