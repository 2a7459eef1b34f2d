//! What a sweep tells on stderr.

use looped_study::comparison::clock;
use looped_study::sweep::{Ending, SweepEvent, SweepObserver};

use super::count;
use crate::stop::Stop;

/// Tells on stderr what happens, and passes on a wish to stop.
pub(super) struct Watch {
    pub(super) stop: Stop,
}

impl SweepObserver for Watch {
    fn happened(&mut self, event: &SweepEvent<'_>) {
        match event {
            SweepEvent::FoundFinished { finished, total } => {
                eprintln!("{finished} of {total} runs are finished already");
            }
            SweepEvent::FoundRunning(run) => {
                eprintln!("{}: is still running (started by an earlier sweep); waiting for it", run.label);
            }
            SweepEvent::Starts(run) => eprintln!("{}: starts", run.label),
            SweepEvent::Resumes(run) => eprintln!("{}: resumes", run.label),
            SweepEvent::EvaluatesAgain(run) => eprintln!("{}: evaluates again", run.label),
            SweepEvent::Says(run, words) => eprintln!("{}: {words}", run.label),
            SweepEvent::Ended { run, ending, seconds, ended, total } => {
                let how = match ending {
                    Ending::Finished => "finished",
                    Ending::Stopped(_) => "stopped",
                    Ending::Diverged(_) => "DIVERGED",
                    Ending::Failed(_) => "FAILED",
                };
                let time = seconds.map_or_else(String::new, |seconds| format!(" after {}", clock(seconds)));
                eprintln!("[{ended}/{total}] {}: {how}{time}", run.label);
            }
            SweepEvent::Stopping(runs) => eprintln!("stopping: waiting for {} to save", count(*runs, "run")),
        }
    }

    fn wants_stop(&self) -> bool {
        self.stop.asked()
    }
}
