//! How far the tasks of a job array are, by what Slurm and the sweep's folder say.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use super::FOLDER;
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

/// A task that Slurm began or took out of the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Past {
    /// The number of its own job, which isn't the array's.
    job: String,
    state: String,
    node: String,
}

impl Past {
    /// Whether its node killed it for its memory, by what it printed: where no cgroups limit that, Slurm's state is only that it failed.
    fn took_too_much(&self, printed: &str) -> bool {
        let names_it =
            |line: &str| line.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == self.job);
        printed.lines().any(|line| line.contains("exceeded memory limit") && names_it(line))
    }
}

/// The runs of a sweep that is the job array `job`, each with how far it is.
pub(super) fn of(folder: &Path, runs: Vec<PlannedRun>, job: &str) -> Result<Vec<(PlannedRun, RunAt)>> {
    let (queued, past) = (queue(job)?, past(job));
    let state = |(i, run): (usize, PlannedRun)| {
        let ended = Ended::read(folder, &run);
        let how_far = run.state();
        let at = match (how_far, queued.get(&i)) {
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
                let (past, begun) = (past.get(&i), how_far != RunState::New);
                let printed = fs::read(folder.join(FOLDER).join(format!("{i}.out"))).unwrap_or_default();
                RunAt {
                    node: past.map_or_else(String::new, |past| past.node.clone()),
                    state: over(ended, past, begun, &String::from_utf8_lossy(&printed)),
                }
            }
        };
        (run, at)
    };
    Ok(runs.into_iter().enumerate().map(state).collect())
}

/// How a run ended that is neither finished nor in the queue: by Slurm's word where that says what the run can't know.
fn over(ended: Option<Ended>, slurm: Option<&Past>, begun: bool, printed: &str) -> TaskState {
    match slurm.map(|past| past.state.as_str()) {
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
        (None, Some(past)) if past.took_too_much(printed) => TaskState::OutOfMemory,
        (None, Some(past)) if begun => TaskState::Failed(format!(
            "Slurm says {}, and the run itself nothing; see slurm/N.out",
            past.state
        )),
        (None, Some(past)) => TaskState::Silent(past.state.clone()),
        (None, None) if begun => TaskState::Failed(
            "Slurm has forgotten it, and the run itself said nothing; see slurm/N.out".to_owned(),
        ),
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

/// A job's tasks that are over, as far as Slurm still knows them.
fn past(job: &str) -> HashMap<usize, Past> {
    let job_is = format!("--jobs={job}");
    let kept = output(
        "sacct",
        &["--noheader", "--parsable2", "--allocations", &job_is, "--format=JobID,JobIDRaw,State,NodeList"],
    );
    let mut past = kept.map_or_else(|_| HashMap::new(), |text| accounted(&text));
    // The controller soon forgets them, but until then the accounting may be seconds behind it.
    if let Ok(text) = output("scontrol", &["--oneliner", "show", "job", job]) {
        past.extend(remembered(&text));
    }
    past
}

fn accounted(text: &str) -> HashMap<usize, Past> {
    let of_line = |line: &str| {
        let mut words = line.split('|').map(str::to_owned);
        let numbers = tasks(words.next()?.split_once('_')?.1);
        let past = Past { job: words.next()?, state: words.next()?, node: words.next()? };
        let node = if past.node == "None assigned" { String::new() } else { past.node };
        Some((numbers, Past { node, ..past }))
    };
    // A task's own line counts more than the list of those that were never begun, which may still name it.
    let (lists, own): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.contains("_["));
    each_task(lists.into_iter().chain(own).filter_map(of_line))
}

fn remembered(text: &str) -> HashMap<usize, Past> {
    let of_line = |line: &str| {
        let value =
            |key: &str| line.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        let node = value("NodeList").filter(|node| *node != "(null)").unwrap_or_default().to_owned();
        let past = Past { job: value("JobId")?.to_owned(), state: value("JobState")?.to_owned(), node };
        Some((tasks(value("ArrayTaskId")?), past))
    };
    each_task(text.lines().filter_map(of_line))
}

fn each_task(lines: impl Iterator<Item = (Vec<usize>, Past)>) -> HashMap<usize, Past> {
    lines.flat_map(|(numbers, past)| numbers.into_iter().map(move |number| (number, past.clone()))).collect()
}

/// The numbers of `3`; or of the tasks of an array that were never begun, which Slurm keeps as one: `1-4,7%2`, `0-8:2`, also in brackets.
fn tasks(text: &str) -> Vec<usize> {
    let list = text.trim_matches(['[', ']']).split('%').next().unwrap_or_default();
    let range = |part: &str| {
        let (range, step) = part.split_once(':').unwrap_or((part, "1"));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        Some((first..=last).step_by(step.parse().ok().filter(|step| *step > 0)?))
    };
    list.split(',').filter_map(range).flatten().collect()
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

    /// What Slurm 22.05 said of an array that was cancelled when its first task ran.
    const REMEMBERED: &str = "\
        JobId=13 ArrayJobId=13 ArrayTaskId=1-4%1 JobName=many UserId=root(0) JobState=CANCELLED Reason=JobArrayTaskLimit Dependency=(null) \
        ReqNodeList=(null) ExcNodeList=(null) NodeList= NumNodes=1-1 NumCPUs=1\n\
        JobId=15 ArrayJobId=13 ArrayTaskId=0 JobName=many UserId=root(0) JobState=CANCELLED Reason=None Dependency=(null) \
        ReqNodeList=(null) ExcNodeList=(null) NodeList=n2 BatchHost=n2 NumNodes=1 NumCPUs=1\n";
    const ACCOUNTED: &str = "13_0|15|CANCELLED by 0|n2\n13_[1-4%1]|13|CANCELLED by 0|None assigned\n";

    fn past(job: &str, state: &str, node: &str) -> Past {
        Past { job: job.to_owned(), state: state.to_owned(), node: node.to_owned() }
    }

    #[test]
    fn what_slurm_remembers_is_read_with_or_without_accounting() {
        let (memory, kept) = (remembered(REMEMBERED), accounted(ACCOUNTED));
        assert_eq!(memory[&0], past("15", "CANCELLED", "n2"));
        assert_eq!(kept[&0], past("15", "CANCELLED by 0", "n2"));
        for task in 1..5 {
            assert_eq!(memory[&task], past("13", "CANCELLED", ""));
            assert_eq!(kept[&task], past("13", "CANCELLED by 0", ""));
        }
        assert_eq!((memory.len(), kept.len()), (5, 5));
        assert_eq!(over(None, kept.get(&3), false, ""), TaskState::Cancelled);
        // The list of those that were never begun may still name one that was.
        let stale = accounted("11_0|13|TIMEOUT|n2\n11_[0-2%1]|11|CANCELLED by 0|None assigned\n");
        assert_eq!(stale[&0], past("13", "TIMEOUT", "n2"));
        assert_eq!(stale[&2], past("11", "CANCELLED by 0", ""));
        // In the first seconds the accounting has an array of one task under the array's own number.
        assert!(accounted("16|16|FAILED|n2\n").is_empty());
    }

    #[test]
    fn tasks_are_read_as_slurm_writes_them() {
        assert_eq!(tasks("3"), [3]);
        assert_eq!(tasks("[1-3,7,9-10%2]"), [1, 2, 3, 7, 9, 10]);
        assert_eq!(tasks("0-8:4"), [0, 4, 8]);
        assert!(tasks("(null)").is_empty());
    }

    #[test]
    fn what_the_run_said_counts_where_slurm_knows_no_better() {
        let said =
            Some(Ended { how: "diverged".to_owned(), reason: "the loss".to_owned(), host: String::new() });
        let slurm = |state| past("9", state, "n1");
        assert_eq!(
            over(said.clone(), Some(&slurm("FAILED")), true, ""),
            TaskState::Diverged("the loss".to_owned())
        );
        for (word, state) in [
            ("OUT_OF_MEMORY", TaskState::OutOfMemory),
            ("TIMEOUT", TaskState::TimeLimit),
            ("NODE_FAIL", TaskState::NodeFailed),
            ("CANCELLED by 0", TaskState::Cancelled),
        ] {
            assert_eq!(over(said.clone(), Some(&slurm(word)), true, ""), state);
        }
        assert_eq!(over(None, Some(&slurm("FAILED")), false, ""), TaskState::Silent("FAILED".to_owned()));
        assert_eq!(over(None, None, false, ""), TaskState::New);
    }

    #[test]
    fn a_run_that_was_killed_is_not_told_to_have_written_nothing() {
        let killed = over(None, Some(&past("9", "FAILED", "n1")), true, "all, seed 0: starts\n");
        assert_eq!(killed.reason(), Some("Slurm says FAILED, and the run itself nothing; see slurm/N.out"));
        let forgotten = over(None, None, true, "");
        assert_eq!(
            forgotten.reason(),
            Some("Slurm has forgotten it, and the run itself said nothing; see slurm/N.out")
        );
    }

    #[test]
    fn a_kill_for_memory_without_cgroups_is_told_by_what_the_node_printed() {
        // Slurm 22.05, with OverMemoryKill. A task that is handed in again writes to the same file.
        let printed = "all, seed 0: starts\n\
             slurmstepd-n1: error: StepId=3.batch exceeded memory limit (342392832 > 314572800), being killed\n\
             slurmstepd-n1: error: *** JOB 3 ON n1 CANCELLED AT 2026-11-27T18:37:25 ***\n\
             slurmstepd-n1: error: Exceeded job memory limit\n";
        assert_eq!(over(None, Some(&past("3", "FAILED", "n1")), true, printed), TaskState::OutOfMemory);
        let again = over(None, Some(&past("37", "FAILED", "n1")), true, printed);
        assert_eq!(again.word(), "failed");
    }
}
