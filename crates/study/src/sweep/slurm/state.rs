//! How far the tasks of a job array are, by what Slurm and the sweep's folder say.

use std::collections::HashMap;
use std::path::Path;

use super::command::output;
use crate::Result;
use crate::sweep::{Ended, PlannedRun, RunState};

/// How far a run is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskState {
    /// Trained and evaluated.
    Finished,
    /// In work.
    Running,
    /// In the queue, with Slurm's reason.
    Waiting(String),
    /// Its loss or gradient was no number.
    Diverged(String),
    /// It failed by itself.
    Failed(String),
    /// It was saved and has stopped.
    Stopped(String),
    /// It took more memory than it had asked for.
    OutOfMemory,
    /// Its time was up before it had saved.
    TimeLimit,
    /// Its node went down, and Slurm hasn't put it back.
    NodeFailed,
    /// It was taken out of the queue.
    Cancelled,
    /// Slurm started it, and it wrote nothing: perhaps the node doesn't see the folder.
    Silent(String),
    /// Nobody has begun it.
    New,
}

impl TaskState {
    /// In a few words.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self {
            Self::Finished => "finished".to_owned(),
            Self::Running => "running".to_owned(),
            Self::Waiting(why) => format!("waiting ({why})"),
            Self::Diverged(_) => "diverged".to_owned(),
            Self::Failed(_) => "failed".to_owned(),
            Self::Stopped(_) => "stopped".to_owned(),
            Self::OutOfMemory => {
                "out of memory: raise `memory` of [executor], or lower training.batch_size".to_owned()
            }
            Self::TimeLimit => "time limit: raise `time` or `warn_seconds` of [executor]".to_owned(),
            Self::NodeFailed => "node failed".to_owned(),
            Self::Cancelled => "cancelled".to_owned(),
            Self::Silent(state) => {
                format!(
                    "wrote nothing (Slurm: {state}): does the node see this folder? See slurm/N.out in it"
                )
            }
            Self::New => "not begun".to_owned(),
        }
    }

    /// In one word, for programs.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Running => "running",
            Self::Waiting(_) => "waiting",
            Self::Diverged(_) => "diverged",
            Self::Failed(_) => "failed",
            Self::Stopped(_) => "stopped",
            Self::OutOfMemory => "out_of_memory",
            Self::TimeLimit => "time_limit",
            Self::NodeFailed => "node_failed",
            Self::Cancelled => "cancelled",
            Self::Silent(_) => "silent",
            Self::New => "new",
        }
    }

    /// What the run said last, where it ended badly.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Diverged(reason) | Self::Failed(reason) | Self::Stopped(reason) => Some(reason),
            _ => None,
        }
    }
}

/// How far a run is, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunAt {
    /// How far.
    pub state: TaskState,
    /// The node, where one is known.
    pub node: String,
}

/// A task in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Queued {
    state: String,
    node: String,
    reason: String,
}

/// The runs of a sweep that is the job array `job`, each with how far it is.
pub(super) fn of(folder: &Path, runs: Vec<PlannedRun>, job: &str) -> Result<Vec<(PlannedRun, RunAt)>> {
    let (queued, past) = (queue(job)?, past(job));
    let state = |(i, run): (usize, PlannedRun)| {
        let ended = Ended::read(folder, &run);
        let at = match (run.state(), queued.get(&i)) {
            (RunState::Finished, _) => {
                RunAt { state: TaskState::Finished, node: ended.map_or_else(String::new, |ended| ended.host) }
            }
            (_, Some(task)) => {
                let running = ["RUNNING", "COMPLETING"].contains(&task.state.as_str());
                let state =
                    if running { TaskState::Running } else { TaskState::Waiting(task.reason.clone()) };
                RunAt { state, node: task.node.clone() }
            }
            (_, None) => {
                let told = past.get(&i).map(|(state, node)| (state.as_str(), node.as_str()));
                RunAt {
                    node: told.map_or_else(String::new, |(_, node)| node.to_owned()),
                    state: over(ended, told.map(|(state, _)| state)),
                }
            }
        };
        (run, at)
    };
    Ok(runs.into_iter().enumerate().map(state).collect())
}

/// How a run ended that is neither finished nor in the queue: by Slurm's word where that says what the run can't know.
fn over(ended: Option<Ended>, slurm: Option<&str>) -> TaskState {
    match slurm {
        Some(state) if state.starts_with("OUT_OF_MEMORY") => return TaskState::OutOfMemory,
        Some(state) if state.starts_with("TIMEOUT") => return TaskState::TimeLimit,
        Some(state) if state.starts_with("NODE_FAIL") => return TaskState::NodeFailed,
        Some(state) if state.starts_with("CANCELLED") => return TaskState::Cancelled,
        _ => {}
    }
    match (ended, slurm) {
        (Some(ended), _) => match ended.how.as_str() {
            "diverged" => TaskState::Diverged(ended.reason),
            "failed" => TaskState::Failed(ended.reason),
            _ => TaskState::Stopped(ended.reason),
        },
        (None, Some(state)) => TaskState::Silent(state.to_owned()),
        (None, None) => TaskState::New,
    }
}

/// The tasks of a job that are in the queue or in work, by their number; that of a job without tasks is 0.
pub(super) fn queue(job: &str) -> Result<HashMap<usize, Queued>> {
    let job = format!("--jobs={job}");
    match output("squeue", &["--noheader", "--array", &job, "--format=%K|%T|%N|%r"]) {
        Ok(text) => Ok(queued(&text)),
        // Slurm forgets a job some minutes after its end.
        Err(error) if error.to_string().contains("Invalid job id") => Ok(HashMap::new()),
        Err(error) => Err(error),
    }
}

fn queued(text: &str) -> HashMap<usize, Queued> {
    let task = |line: &str| {
        let mut words = line.trim().split('|').map(str::to_owned);
        let number = words.next()?;
        let number = if number == "N/A" { 0 } else { number.parse().ok()? };
        Some((number, Queued { state: words.next()?, node: words.next()?, reason: words.next()? }))
    };
    text.lines().filter_map(task).collect()
}

/// The state and the node of a job's tasks that are over, as far as Slurm still knows them: by its accounting, else by its memory.
fn past(job: &str) -> HashMap<usize, (String, String)> {
    let job_is = format!("--jobs={job}");
    let kept = output(
        "sacct",
        &["--noheader", "--parsable2", "--allocations", &job_is, "--format=JobID,State,NodeList"],
    );
    match kept {
        Ok(text) if !text.trim().is_empty() => accounted(&text),
        _ => output("scontrol", &["--oneliner", "show", "job", job])
            .map_or_else(|_| HashMap::new(), |text| remembered(&text)),
    }
}

fn accounted(text: &str) -> HashMap<usize, (String, String)> {
    let task = |line: &str| {
        let mut words = line.split('|');
        let number = words.next()?.split_once('_')?.1.parse().ok()?;
        Some((number, (words.next()?.to_owned(), words.next()?.to_owned())))
    };
    text.lines().filter_map(task).collect()
}

fn remembered(text: &str) -> HashMap<usize, (String, String)> {
    let task = |line: &str| {
        let value =
            |key: &str| line.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        let node = value("NodeList").filter(|node| *node != "(null)").unwrap_or_default();
        Some((value("ArrayTaskId")?.parse().ok()?, (value("JobState")?.to_owned(), node.to_owned())))
    };
    text.lines().filter_map(task).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_read_task_by_task() {
        let tasks = queued("3|RUNNING|node1|None\n4|PENDING||Resources\nN/A|PENDING||Dependency\n");
        assert_eq!(tasks[&3].node, "node1");
        assert_eq!((tasks[&4].state.as_str(), tasks[&4].reason.as_str()), ("PENDING", "Resources"));
        assert_eq!(tasks[&0].reason, "Dependency");
    }

    #[test]
    fn what_slurm_remembers_is_read_with_or_without_accounting() {
        let text = "JobId=12 ArrayJobId=10 ArrayTaskId=2 JobName=a JobState=TIMEOUT Reason=TimeLimit NodeList=n1 BatchHost=n1\n\
                    JobId=13 ArrayJobId=10 ArrayTaskId=3 JobName=a JobState=PENDING NodeList=(null)\n";
        let memory = remembered(text);
        assert_eq!(memory[&2], ("TIMEOUT".to_owned(), "n1".to_owned()));
        assert_eq!(memory[&3].1, "");
        let kept = accounted("10_2|OUT_OF_MEMORY|n1\n10_3|CANCELLED by 0|None assigned\n");
        assert_eq!(kept[&2].0, "OUT_OF_MEMORY");
        assert_eq!(over(None, Some(&kept[&3].0)), TaskState::Cancelled);
    }

    #[test]
    fn what_the_run_said_counts_where_slurm_knows_no_better() {
        let said =
            Some(Ended { how: "diverged".to_owned(), reason: "the loss".to_owned(), host: String::new() });
        assert_eq!(over(said.clone(), Some("FAILED")), TaskState::Diverged("the loss".to_owned()));
        assert_eq!(over(said, Some("OUT_OF_MEMORY")), TaskState::OutOfMemory);
        assert_eq!(over(None, Some("FAILED")), TaskState::Silent("FAILED".to_owned()));
        assert_eq!(over(None, None), TaskState::New);
    }
}
