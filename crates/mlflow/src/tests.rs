//! A tracker and a server that does what a test wants of it.

mod fake;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use fake::{Fake, Manner};
use looped_train::{How, Metrics, Record};
use serde_json::json;

use crate::settings::{Pace, Settings};
use crate::{Link, Tracker};

/// A run's directory with `steps` records, one every 10 steps.
fn run(steps: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.toml"), "name = \"a run\"\n").unwrap();
    let session =
        json!({ "version": "1.2.3", "commit": "unknown", "engine": "fused", "device": "cpu", "threads": 2 });
    let config = json!({ "name": "a run", "training": { "train_steps": steps } });
    let provenance = json!({ "format": 1, "config": config, "sessions": [session] });
    fs::write(folder.path().join("run.json"), provenance.to_string()).unwrap();
    append(folder.path(), 0, steps);
    folder
}

/// The line of a step, as it is in `metrics.jsonl`.
fn line(step: usize) -> String {
    let loss = if step == 20 { json!(null) } else { json!(1.0 / (step + 1) as f64) };
    let record = json!({
        "step": step, "loss": loss, "dims": 1, "points": 2, "loops": 3, "learning_rate": 0.5, "grad_norm": 2.0,
        "steps_per_second": 100.0
    });
    format!("{record}\n")
}

/// Adds the records of the steps from `from` to `to`.
fn append(folder: &Path, from: usize, to: usize) {
    let path = folder.join("metrics.jsonl");
    let before = fs::read_to_string(&path).unwrap_or_default();
    let lines: String = (from..to).step_by(10).map(line).collect();
    fs::write(path, before + &lines).unwrap();
}

fn settings(server: &Fake) -> Settings {
    let uri = server.uri();
    let of = |name: &str| (name == "MLFLOW_TRACKING_URI").then(|| uri.clone());
    let quick = Duration::from_millis(20);
    let pace = Pace {
        look_every: quick,
        first_retry: quick,
        last_retry: quick,
        connect: Duration::from_millis(300),
        call: Duration::from_millis(300),
        upload: Duration::from_secs(5),
        end: Duration::from_secs(20),
        end_away: Duration::from_secs(1),
    };
    Settings { pace, ..Settings::read(of, || None).unwrap().unwrap() }
}

fn wait_until(mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "waited too long");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The steps of a metric, in the order in which the server got them.
fn steps(server: &Fake, key: &str) -> Vec<i64> {
    server.runs()[0].metrics.iter().filter(|metric| metric.0 == key).map(|metric| metric.2).collect()
}

fn every_tenth(to: i64) -> Vec<i64> {
    (0..to).step_by(10).collect()
}

#[test]
fn a_run_is_sent_with_its_parameters_tags_metrics_scores_files_and_end() {
    let (server, run) = (Fake::start(), run(3000));
    let curve = |mean: [f64; 2]| json!({ "mean": mean });
    let evaluation = json!({ "curves": { "model": curve([1.0, 0.25]), "ridge (0.1)": curve([1.0, 0.5]) } });
    fs::write(run.path().join("eval.json"), evaluation.to_string()).unwrap();
    fs::create_dir(run.path().join("plots")).unwrap();
    fs::write(run.path().join("plots/error of it.svg"), "<svg/>").unwrap();
    let said = Tracker::with(settings(&server), run.path()).end(How::Finished, 3000, None);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].starts_with("note: MLflow: http") && said[0].ends_with("/#/experiments/0/runs/run0"),
        "{said:?}"
    );

    let sent = &server.runs()[0];
    assert_eq!((sent.name.as_str(), sent.status.as_str()), ("a run", "FINISHED"));
    let has = |pairs: &[(String, String)], key: &str, value: &str| {
        assert!(pairs.contains(&(key.to_owned(), value.to_owned())), "{key} in {pairs:?}");
    };
    has(&sent.params, "training.train_steps", "3000");
    has(&sent.tags, "looped.engine", "fused");
    has(&sent.tags, "looped.version", "1.2.3 (unknown)");
    assert!(sent.tags.iter().all(|(key, _)| key != "mlflow.source.git.commit"));
    for key in ["train/loss", "train/learning_rate", "curriculum/loops"] {
        assert_eq!(steps(&server, key), every_tenth(3000), "{key}");
    }
    let value = |key: &str, step: i64| {
        let found = sent.metrics.iter().find(|metric| metric.0 == key && metric.2 == step);
        found.map(|metric| metric.1.clone()).unwrap_or_default()
    };
    assert_eq!(value("train/loss", 30), json!(1.0 / 31.0));
    assert_eq!(value("train/loss", 20), json!("NaN"));
    assert_eq!(value("evaluation/model", 3000), json!(0.25));
    assert_eq!(value("evaluation/ridge _0.1_", 3000), json!(0.5));
    // 300 records of 7 numbers each, and no more than a request takes.
    assert_eq!(server.most_metrics_of_a_request(), 142 * 7);
    // 10 steps at 100 steps a second.
    let times: Vec<i64> = sent.metrics.iter().filter(|m| m.0 == "train/loss").map(|m| m.3).collect();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 100), "{times:?}");
    let files = server.files();
    assert_eq!(files["0/run0/artifacts/plots/error%20of%20it.svg"], b"<svg/>");
    for name in ["config.toml", "run.json", "metrics.jsonl", "eval.json"] {
        let sent = &files[&format!("0/run0/artifacts/{name}")];
        assert_eq!(*sent, fs::read(run.path().join(name)).unwrap(), "{name}");
    }
    assert!(Link::read(run.path()).unwrap().complete);
    // Nothing is left to be sent.
    assert_eq!(Tracker::catch_up(run.path()).end(How::Finished, 3000, None), [""; 0]);
}

#[test]
fn what_training_adds_is_sent_while_it_goes_on() {
    let (server, run) = (Fake::start(), run(50));
    let tracker = Tracker::with(settings(&server), run.path());
    wait_until(|| server.runs().len() == 1);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(steps(&server, "train/loss"), [0_i64; 0], "of a session before this one");
    tracker.begun();
    wait_until(|| steps(&server, "train/loss") == every_tenth(50));
    append(run.path(), 50, 100);
    wait_until(|| steps(&server, "train/loss") == every_tenth(100));
    assert_eq!(server.runs()[0].status, "RUNNING");
    // Half a line is one that training is writing.
    let path = run.path().join("metrics.jsonl");
    let whole = fs::read_to_string(&path).unwrap() + &line(100);
    fs::write(&path, &whole[..whole.len() - 9]).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(steps(&server, "train/loss"), every_tenth(100));
    fs::write(&path, whole).unwrap();
    wait_until(|| steps(&server, "train/loss") == every_tenth(110));
    let _ = tracker.end(How::Stopped, 101, None);
    assert_eq!(server.runs()[0].status, "KILLED");
}

#[test]
fn a_resume_goes_on_with_the_same_run_and_sends_no_step_twice() {
    let (server, run) = (Fake::start(), run(100));
    let _ = Tracker::with(settings(&server), run.path()).end(How::Stopped, 100, None);
    append(run.path(), 100, 200);
    let text = fs::read_to_string(run.path().join("run.json")).unwrap();
    fs::write(run.path().join("run.json"), text.replace("\"train_steps\":100", "\"train_steps\":200"))
        .unwrap();
    let _ = Tracker::with(settings(&server), run.path()).end(How::Finished, 200, None);
    let runs = server.runs();
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].status, "FINISHED");
    assert_eq!(steps(&server, "train/loss"), every_tenth(200));
    // A parameter can't change; what was changed is a tag.
    assert!(runs[0].params.contains(&("training.train_steps".to_owned(), "100".to_owned())));
    assert!(runs[0].tags.contains(&("changed.training.train_steps".to_owned(), "200".to_owned())));
}

#[test]
fn a_server_that_is_down_hangs_or_fails_costs_one_warning_and_gets_all_later() {
    for manner in [Manner::Closes, Manner::Hangs, Manner::Fails] {
        let (server, run) = (Fake::start(), run(100));
        server.set(manner);
        let tracker = Tracker::with(settings(&server), run.path());
        tracker.begun();
        let mut said = Vec::new();
        wait_until(|| {
            said.extend(tracker.said());
            !said.is_empty()
        });
        append(run.path(), 100, 200);
        // More than one try.
        std::thread::sleep(Duration::from_millis(400));
        let begun = Instant::now();
        said.extend(tracker.end(How::Finished, 200, None));
        assert!(begun.elapsed() < Duration::from_secs(3), "{manner:?}: {:?}", begun.elapsed());
        assert_eq!(said.len(), 2, "{manner:?}: {said:?}");
        assert!(
            said[0].starts_with("warning: MLflow: http") && said[0].contains("The run goes on"),
            "{said:?}"
        );
        assert!(said[1].contains("looped resume"), "{said:?}");
        let link = Link::read(run.path()).unwrap();
        assert!(link.tracking_uri == server.uri() && !link.complete, "a resume finds the server: {link:?}");

        server.set(Manner::Answers);
        let said = Tracker::with(settings(&server), run.path()).end(How::Finished, 200, None);
        assert_eq!(said.len(), 1, "{manner:?}: {said:?}");
        assert_eq!(server.runs().len(), 1, "{manner:?}");
        assert_eq!(steps(&server, "train/loss"), every_tenth(200), "{manner:?}");
        assert_eq!(server.runs()[0].status, "FINISHED");
    }
}

#[test]
fn a_server_that_is_back_gets_what_it_missed_in_the_same_session() {
    let (server, run) = (Fake::start(), run(50));
    let tracker = Tracker::with(settings(&server), run.path());
    tracker.begun();
    wait_until(|| steps_if_any(&server) == every_tenth(50));
    server.set(Manner::Fails);
    append(run.path(), 50, 5000);
    let mut said = Vec::new();
    wait_until(|| {
        said.extend(tracker.said());
        said.iter().any(|line| line.contains("answers 500"))
    });
    server.set(Manner::Answers);
    wait_until(|| steps(&server, "train/loss") == every_tenth(5000));
    said.extend(tracker.end(How::Failed, 5000, Some("it broke")));
    assert_eq!(said.last().map(String::as_str), Some("note: MLflow answers again"));
    let sent = &server.runs()[0];
    assert_eq!(sent.status, "FAILED");
    assert!(sent.tags.contains(&("looped.error".to_owned(), "it broke".to_owned())));
}

fn steps_if_any(server: &Fake) -> Vec<i64> {
    if server.runs().is_empty() { Vec::new() } else { steps(server, "train/loss") }
}

#[test]
fn a_request_that_was_heard_and_not_answered_makes_no_second_run_and_no_second_number() {
    let (server, run) = (Fake::start(), run(100));
    server.set(Manner::HearsOnly("runs/create"));
    let tracker = Tracker::with(settings(&server), run.path());
    wait_until(|| !tracker.said().is_empty());
    server.set(Manner::HearsOnly("log-batch"));
    tracker.begun();
    wait_until(|| steps_if_any(&server).len() >= 20);
    server.set(Manner::Answers);
    let _ = tracker.end(How::Finished, 100, None);
    assert_eq!(server.runs().len(), 1);
    let mut metrics = server.runs()[0].metrics.clone();
    // As MLflow does, which keeps no number of one step and time twice.
    metrics.sort_by_key(|metric| (metric.0.clone(), metric.2));
    metrics.dedup();
    assert_eq!(metrics.iter().filter(|metric| metric.0 == "train/loss").count(), 10);
}

#[test]
fn a_run_that_the_server_has_no_more_is_begun_anew_and_metrics_that_it_refuses_are_passed_over() {
    let (server, run) = (Fake::start(), run(100));
    let _ = Tracker::with(settings(&server), run.path()).end(How::Stopped, 100, None);
    server.forget();
    let said = Tracker::with(settings(&server), run.path()).end(How::Stopped, 100, None);
    assert!(said[0].contains("run0 is not there any more"), "{said:?}");
    assert_eq!(steps(&server, "train/loss"), every_tenth(100));

    server.set(Manner::Refuses("log-batch"));
    append(run.path(), 100, 200);
    let said = Tracker::with(settings(&server), run.path()).end(How::Stopped, 200, None);
    assert!(said.iter().any(|line| line.contains("400")), "{said:?}");
}

#[test]
fn the_numbers_of_a_record_have_the_names_that_tensorboard_shows() {
    let run = run(20);
    let records: Vec<Record> = Metrics::read(&run.path().join("metrics.jsonl")).unwrap();
    let names: Vec<String> = records[1].named().into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "train/loss",
            "train/grad_norm",
            "train/learning_rate",
            "train/steps_per_second",
            "curriculum/dims",
            "curriculum/points",
            "curriculum/loops"
        ]
    );
}
