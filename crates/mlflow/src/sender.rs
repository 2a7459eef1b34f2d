//! What a server still lacks of a run, sent to it: each call goes as far as it can.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use looped_train::{How, Provenance};
use serde_json::Value;

use crate::about;
use crate::artifacts::{Store, files};
use crate::link::Link;
use crate::problem::{Problem, Result};
use crate::server::{Metric, PARAMS, Pair, RemoteRun, Server};
use crate::settings::Settings;
use crate::tail::{Batch, Tail, modified};
use crate::text::{flattened, name, tag};

/// The tag by which a run is found again.
const KEY: &str = "looped.key";
/// Metrics that every record has: the steps that the server has all of are there.
const OF_EVERY_STEP: [&str; 3] = ["train/loss", "train/learning_rate", "curriculum/loops"];

/// How a session has ended.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) how: How,
    pub(crate) steps_done: usize,
    pub(crate) error: Option<String>,
}

/// What the sender is told, and to whom it talks.
pub(crate) trait Desk {
    /// Says a line to the user.
    fn say(&self, line: String);
    /// Whether nobody waits any more.
    fn is_closed(&self) -> bool;
}

/// Sends one run.
pub(crate) struct Sender {
    server: Server,
    settings: Settings,
    folder: PathBuf,
    link: Link,
    /// Whether the server may have been asked to make the run already.
    asked: bool,
    connected: Option<Connected>,
}

struct Connected {
    run: RemoteRun,
    /// Whether its tags and parameters are sent.
    described: bool,
    tail: Tail,
    /// Read, and not yet taken: it is sent again as it is, so that a server that had taken it sees what it has.
    pending: Option<Batch>,
}

impl Sender {
    pub(crate) fn new(settings: Settings, folder: &Path) -> Result<Self> {
        let before = Link::read(folder);
        let asked = before.is_some();
        let mut link = before.unwrap_or_else(|| Link::new(&settings.tracking_uri));
        link.tracking_uri.clone_from(&settings.tracking_uri);
        let server = Server::new(settings.clone())?;
        let sender = Self { server, settings, folder: folder.to_owned(), link, asked, connected: None };
        // Also of a server that is never reached, a resume knows.
        sender.keep()?;
        Ok(sender)
    }

    /// Sends what is there: the run and its parameters; with `reads`, what `metrics.jsonl` has; with an `end`, all the rest.
    pub(crate) fn advance(&mut self, reads: bool, end: Option<&End>, desk: &dyn Desk) -> Result<()> {
        let mut connected = match self.connected.take() {
            Some(connected) => connected,
            None => self.connect(desk)?,
        };
        let sent = self.send(&mut connected, reads, end, desk);
        self.connected = Some(connected);
        sent
    }

    fn connect(&mut self, desk: &dyn Desk) -> Result<Connected> {
        let run = self.the_run(desk)?;
        self.link.run_id = Some(run.id.clone());
        self.link.complete = false;
        self.keep()?;
        desk.say(format!("note: MLflow: {}", self.server.page_of(&run)));
        let known = OF_EVERY_STEP.map(|key| run.metrics.iter().find(|(name, ..)| name == key));
        let after = known.iter().map(|metric| metric.map(|(_, step, _)| *step)).min().flatten();
        let clock = known.iter().flatten().map(|(.., time)| *time).max().unwrap_or_else(|| self.begun());
        let tail = Tail::new(self.folder.join("metrics.jsonl"), after, clock);
        Ok(Connected { run, described: false, tail, pending: None })
    }

    /// The run on the server: the one that it is already, or a new one.
    fn the_run(&mut self, desk: &dyn Desk) -> Result<RemoteRun> {
        if let Some(id) = self.link.run_id.clone() {
            match self.server.run(&id) {
                Ok(run) if !run.is_deleted => {
                    self.server.update_run(&id, "RUNNING", None)?;
                    return Ok(run);
                }
                Err(error) if !error.is_missing() => return Err(error),
                _ => {
                    desk.say(format!("warning: MLflow: run {id} is not there any more; a new one is made"));
                    self.link = Link::new(&self.settings.tracking_uri);
                    self.asked = false;
                }
            }
        }
        let experiment = self.server.experiment()?;
        // A request that wasn't answered in time may have been heard.
        if self.asked
            && let Some(run) = self.server.run_tagged(&experiment, KEY, &self.link.key)?
        {
            return Ok(run);
        }
        self.keep()?;
        self.asked = true;
        let config = Provenance::read(&self.folder).ok().flatten().map(|provenance| provenance.config);
        let named = config.as_ref().and_then(|config| config["name"].as_str()).unwrap_or("looped");
        let tags = [(KEY.to_owned(), self.link.key.clone())];
        self.server.create_run(&experiment, named, self.begun(), &tags)
    }

    /// When the run began, in milliseconds since 1970.
    fn begun(&self) -> i64 {
        modified(&self.folder.join("config.toml")).unwrap_or_else(now)
    }

    fn keep(&self) -> Result<()> {
        self.link.write(&self.folder).map_err(|error| {
            let path = self.folder.join("mlflow.json");
            Problem::File { path, source: std::io::Error::other(error.to_string()) }
        })
    }

    fn send(&mut self, to: &mut Connected, reads: bool, end: Option<&End>, desk: &dyn Desk) -> Result<()> {
        let store = Store::of(&to.run.artifact_uri);
        if !to.described {
            self.describe(&to.run)?;
            let config = [("config.toml".to_owned(), self.folder.join("config.toml"))];
            self.put(&store, &config, desk)?;
            to.described = true;
        }
        while reads && !desk.is_closed() {
            if to.pending.is_none() {
                to.pending = to.tail.next()?;
            }
            let Some(batch) = &to.pending else { break };
            match self.server.log(&to.run.id, &batch.metrics, &[], &[]) {
                Err(error) if error.is_of_content() => desk.say(format!(
                    "warning: MLflow does not take the metrics up to step {}: {error}",
                    batch.last_step
                )),
                sent => sent?,
            }
            to.pending = None;
        }
        match end {
            Some(end) if !desk.is_closed() => self.end(to, &store, end, desk),
            _ => Ok(()),
        }
    }

    /// Parameters and tags. Parameters of a server never change: what a later session has set otherwise is a tag.
    fn describe(&self, run: &RemoteRun) -> Result<()> {
        let provenance = Provenance::read(&self.folder).ok().flatten();
        let mut tags = about::tags(&self.folder, provenance.as_ref().and_then(|all| all.sessions.last()));
        let config = provenance.map_or(Value::Null, |provenance| provenance.config);
        let mut params: Vec<Pair> = Vec::new();
        for (key, value) in flattened(&config) {
            match run.params.iter().find(|(known, _)| *known == key) {
                None => params.push((key, value)),
                Some((_, known)) if *known != value => tags.push((format!("changed.{key}"), tag(&value))),
                Some(_) => {}
            }
        }
        self.server.log(&run.id, &[], &[], &tags)?;
        params.chunks(PARAMS).try_for_each(|some| self.server.log(&run.id, &[], some, &[]))
    }

    fn end(&mut self, to: &Connected, store: &Store, end: &End, desk: &dyn Desk) -> Result<()> {
        let id = &to.run.id;
        if end.how == How::Finished {
            self.server.log(id, &self.scores(&to.run, end.steps_done), &[], &[])?;
        }
        if let Some(error) = &end.error {
            self.server.log(id, &[], &[], &[("looped.error".to_owned(), tag(error))])?;
        }
        let status = match end.how {
            How::Finished => "FINISHED",
            How::Stopped => "KILLED",
            How::Diverged | How::Failed => "FAILED",
        };
        self.server.update_run(id, status, Some(now()))?;
        // A run that was stopped goes on; its files are not the last.
        if end.how == How::Stopped {
            return Ok(());
        }
        if let Store::Elsewhere(uri) = store {
            desk.say(format!(
                "note: MLflow keeps the run's artifacts at {uri}, where looped does not write; they are in {}",
                self.folder.display()
            ));
        }
        self.put(store, &files(&self.folder, self.settings.with_checkpoint), desk)?;
        self.link.complete = true;
        self.keep()
    }

    /// Sends files; one that the server refuses is left out, and said.
    fn put(&self, store: &Store, files: &[(String, PathBuf)], desk: &dyn Desk) -> Result<()> {
        for (name, path) in files {
            match store.put(&self.server, name, path) {
                Err(error @ Problem::Away(_)) => return Err(error),
                Err(error) => {
                    desk.say(format!("warning: MLflow does not take the run's files: {name}: {error}"));
                    return Ok(());
                }
                Ok(()) if desk.is_closed() => return Ok(()),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// The score of the model and of each baseline with the most examples, as after the last step.
    fn scores(&self, run: &RemoteRun, steps_done: usize) -> Vec<Metric> {
        let path = self.folder.join("eval.json");
        let text = std::fs::read(&path).unwrap_or_default();
        let evaluation: Value = serde_json::from_slice(&text).unwrap_or_default();
        let timestamp = modified(&path).unwrap_or_else(now);
        let step = i64::try_from(steps_done).unwrap_or(i64::MAX);
        let curves = evaluation["curves"].as_object();
        let score = |(of, curve): (&String, &Value)| {
            let key = name(&format!("evaluation/{of}"));
            let value = curve["mean"].as_array()?.last()?.as_f64()?;
            // Another evaluation after the same step is new, too.
            let is_known =
                |(known, at, time): &(String, i64, i64)| *known == key && *at >= step && *time >= timestamp;
            let is_new = !run.metrics.iter().any(is_known);
            is_new.then_some(Metric { key, value, timestamp, step })
        };
        curves.into_iter().flatten().filter_map(score).collect()
    }
}

/// Milliseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
