//! Comparisons of copies of a committed run, each with settings and scores of its own.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Comparison, ReportContext};

/// A copy of `tests/golden/run` with other settings, whose errors are `times` as large.
fn run(place: &Path, name: &str, edits: &[(&str, &str)], times: f64) -> PathBuf {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/run");
    let folder = place.join(name);
    fs::create_dir_all(&folder).unwrap();
    let mut config = fs::read_to_string(golden.join("config.toml")).unwrap();
    for (from, to) in edits {
        assert!(config.contains(from), "{from}");
        config = config.replacen(from, to, 1);
    }
    fs::write(folder.join("config.toml"), config.replace("quickstart", name)).unwrap();
    let mut evaluation: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(golden.join("eval.json")).unwrap()).unwrap();
    for part in ["mean", "low", "high"] {
        for value in evaluation["curves"]["model"][part].as_array_mut().unwrap() {
            *value = (value.as_f64().unwrap() * times).into();
        }
    }
    fs::write(folder.join("eval.json"), evaluation.to_string()).unwrap();
    fs::copy(golden.join("metrics.jsonl"), folder.join("metrics.jsonl")).unwrap();
    folder
}

/// The published report's HTML, and the SVG of its figure over what is varied.
fn published(runs: &[PathBuf], place: &Path) -> (String, Option<String>) {
    let out = place.join("report");
    Comparison::of(runs).unwrap().publish(&out, &ReportContext::default()).unwrap();
    let varied = fs::read_to_string(out.join("plots/varied.svg")).ok();
    (fs::read_to_string(out.join("report.html")).unwrap(), varied)
}

const RATE: &str = "learning_rate = 0.001";
const WINDOW: &str = "n_loop_window = 8";

#[test]
fn runs_that_vary_one_number_have_a_figure_over_it_in_its_order() {
    let place = tempfile::tempdir().unwrap();
    let rates = [("fast", "0.1", 5000.0), ("slow", "0.0001", 1.5), ("middle", "0.001", 1.0)];
    let runs = rates.map(|(name, rate, times)| {
        run(place.path(), name, &[(RATE, &format!("learning_rate = {rate}"))], times)
    });
    let (html, varied) = published(&runs, place.path());
    let varied = varied.unwrap();
    assert!(varied.contains(">training.learning_rate</text>"), "{varied}");
    for examples in [5, 10] {
        assert!(varied.contains(&format!(">{examples} examples</text>")), "{varied}");
    }
    assert!(varied.contains(">≥ "), "a diverged variant is cut off: {varied}");
    assert!(html.contains("5 examples,0.0001,"), "the numbers are in the page");

    // In the order of the rates, whatever the order of the runs.
    let error = fs::read_to_string(place.path().join("report/plots/error.svg")).unwrap();
    let at = |name: &str| error.find(&format!("<title>{name}</title>")).unwrap();
    assert!(at("slow") < at("middle") && at("middle") < at("fast"));
}

#[test]
fn runs_that_vary_two_settings_have_a_heat_map_and_a_panel_for_each_value_of_the_first() {
    let place = tempfile::tempdir().unwrap();
    let mut runs = Vec::new();
    for (window, rate, times) in
        [("4", "0.1", 3.0), ("4", "0.001", 2.0), ("8", "0.1", 4.0), ("8", "0.001", 1.0)]
    {
        let edits =
            [(RATE, format!("learning_rate = {rate}")), (WINDOW, format!("n_loop_window = {window}"))];
        let edits = edits.each_ref().map(|(from, to)| (*from, to.as_str()));
        runs.push(run(place.path(), &format!("w{window}-r{rate}"), &edits, times));
    }
    let (_, varied) = published(&runs, place.path());
    let varied = varied.unwrap();
    assert!(
        varied.contains(">Error at 10 examples</text>") && varied.contains(">training.n_loop_window</text>")
    );
    assert_eq!(varied.matches("<rect ").count(), 1 + 4, "a cell for each pair");
    let error = fs::read_to_string(place.path().join("report/plots/error.svg")).unwrap();
    assert_eq!(error.matches("class=\"panel\"").count(), 2);
    assert!(error.contains(">learning_rate = 0.001</text>") || error.contains(">n_loop_window = 4</text>"));
}

#[test]
fn a_few_seeds_are_drawn_one_by_one() {
    let place = tempfile::tempdir().unwrap();
    let seeds = [("a", "1", 1.0), ("b", "2", 2.0), ("c", "3", 1.5)];
    let runs = seeds.map(|(folder, seed, times)| {
        let inner = place.path().join(folder);
        run(&inner, "same", &[("seed = 42", &format!("seed = {seed}"))], times)
    });
    let (html, varied) = published(&runs, place.path());
    assert_eq!(varied, None, "nothing is varied but the seed");
    assert!(html.contains("Thin lines: the seeds"));
    assert!(html.contains("&quot;same, seed 2&quot;,0,"), "each seed is in the data");
}

#[test]
fn runs_whose_logs_are_gone_are_compared_without_their_training() {
    let place = tempfile::tempdir().unwrap();
    let runs = [("a", "0.1"), ("b", "0.001")].map(|(name, rate)| {
        let run = run(place.path(), name, &[(RATE, &format!("learning_rate = {rate}"))], 1.0);
        fs::remove_file(run.join("metrics.jsonl")).unwrap();
        run
    });
    let (html, _) = published(&runs, place.path());
    assert!(!html.contains(">Training</h2>") && html.contains(">Error over loops</h2>"));
    assert!(!place.path().join("report/plots/training.svg").exists());
    assert!(!html.contains("0:00:00"), "the time it took is not known");
}

#[test]
fn a_log_of_very_many_steps_makes_no_report_that_nobody_can_open() {
    let place = tempfile::tempdir().unwrap();
    let run = run(place.path(), "long", &[("train_steps = 200", "train_steps = 40000")], 1.0);
    let log = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let mut record: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    let lines = (0..40_000).map(|step| {
        record["step"] = step.into();
        format!("{record}\n")
    });
    fs::write(run.join("metrics.jsonl"), lines.collect::<String>()).unwrap();
    let (html, _) = published(&[run], place.path());
    let numbers = fs::read(place.path().join("report/comparison.json")).unwrap();
    assert!(html.len() < 1_000_000 && numbers.len() < 1_000_000, "{} and {}", html.len(), numbers.len());
    let numbers: serde_json::Value = serde_json::from_slice(&numbers).unwrap();
    let steps = numbers["variants"][0]["training"]["step"].as_array().unwrap();
    assert_eq!((&steps[0], steps.last().unwrap()), (&0.0.into(), &39_999.0.into()));
}

/// Replaces the log of a run by one with these validation losses, at every tenth step.
fn validate(run: &Path, losses: [f64; 4]) {
    let log = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let mut record: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    let lines = losses.iter().enumerate().map(|(i, loss)| {
        record["step"] = (10 * i).into();
        record["validation_loss_last_stage"] = (*loss).into();
        format!("{record}\n")
    });
    fs::write(run.join("metrics.jsonl"), lines.collect::<String>()).unwrap();
}

#[test]
fn the_costs_say_how_soon_each_variant_had_learnt_what_all_of_them_have() {
    let place = tempfile::tempdir().unwrap();
    let runs = [("slow", "0.0001"), ("fast", "0.1")]
        .map(|(name, rate)| run(place.path(), name, &[(RATE, &format!("learning_rate = {rate}"))], 1.0));
    validate(&runs[0], [1.0, 0.9, 0.7, 0.5]);
    validate(&runs[1], [1.0, 0.5, 0.4, 0.3]);
    let comparison = Comparison::of(&runs).unwrap();
    let tables = comparison.tables();
    let (_, costs) = tables.split_once("steps to validation loss 0.500").unwrap();
    let steps: Vec<&str> = costs.lines().skip(2).filter_map(|line| line.split_whitespace().last()).collect();
    assert_eq!(steps, ["31", "11"], "{tables}");
    let (html, _) = published(&runs, place.path());
    assert!(html.contains("steps to validation loss 0.500") && html.contains("that every variant came to"));
    assert!(html.contains("validation loss above least squares / 5"), "the excess over the floor is drawn");
}
