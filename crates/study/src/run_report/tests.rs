//! The report of a committed run, redrawn from its numbers, is the committed report.
//!
//! `tests/golden/run` is what `looped run` and `looped eval --suite ood --save` left of a small run (its command is in
//! `tests/golden/README.md`), without its checkpoints. After a change that is meant, look at the new drawings and
//! take them over: `LOOPED_BLESS=1 cargo test -p looped-study run_report`.

use std::fs;
use std::path::Path;

use looped_train::RunDir;

/// The drawings that are compared, beside `report.md`: one of each kind.
const PLOTS: [&str; 7] =
    ["error", "loops", "state_change", "convergence", "training", "ood_summary", "ood_half_subspace"];

#[test]
fn a_committed_run_is_redrawn_to_the_committed_report() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let place = tempfile::tempdir().unwrap();
    for file in ["config.toml", "metrics.jsonl", "eval.json", "eval_ood.json"] {
        fs::copy(golden.join("run").join(file), place.path().join(file)).unwrap();
    }
    let run = RunDir::open(place.path()).unwrap();
    let loaded = looped_config::load(run.config(), &[]).unwrap();
    super::write(&loaded.experiment, &run).unwrap();

    let plots = PLOTS.iter().map(|name| format!("plots/{name}.svg"));
    for file in plots.chain(["report.md".to_owned()]) {
        let (drawn, kept) = (place.path().join(&file), golden.join("report").join(&file));
        if std::env::var_os("LOOPED_BLESS").is_some() {
            fs::create_dir_all(kept.parent().unwrap()).unwrap();
            fs::copy(&drawn, &kept).unwrap();
        }
        let [drawn, kept] = [drawn, kept].map(|path| fs::read_to_string(path).unwrap());
        assert!(
            drawn == kept,
            "{file} is not what tests/golden/report holds; if that is meant: LOOPED_BLESS=1 cargo test -p looped-study run_report"
        );
    }
}
