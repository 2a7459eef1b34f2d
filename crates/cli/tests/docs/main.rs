//! Every `looped` command that the pages show is run here, as a shell reads it, and prints what it should.
//!
//! The tutorial is walked by `scripts/walk-tutorial.sh`. A new command on another page needs a line in [`SHOWN`]; after a
//! change that is meant, `LOOPED_BLESS=1 cargo test -p cli --test docs` writes what the program prints now into `shown.rs`.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

#[path = "../common/mod.rs"]
mod common;
mod shown;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use common::{Place, Ran, shows};
use shown::SHOWN;

/// What stands for a reader's own names in the pages, and what is there in this test.
const NAMES: [(&str, &str); 14] = [
    ("experiments/quickstart_adam.toml", "tiny.toml"),
    ("experiments/quickstart.toml", "tiny.toml"),
    ("quickstart.toml", "tiny.toml"),
    ("EXP.toml", "tiny.toml"),
    ("SWEEP.toml", "sweep.toml"),
    ("sweep ...", "sweep sweep.toml --out sw2"),
    ("RUN...", "RUN other"),
    ("--out RUN", "--out new"),
    ("new KIND", "new task"),
    ("DIR", "out"),
    ("NAME", "long"),
    (" [key=value ...]", " model.n_layer=2"),
    (" [training.train_steps=N]", ""),
    ("train_steps=20000", "train_steps=14"),
];

/// Commands that are only named, so that their options can be looked up; one that needs a GPU; `check --explain`, which
/// `explain.rs` runs; and those of a cluster, which `shared_sweep.rs`, `scripts/slurm/check.py` and
/// `scripts/mpi/check.py` run.
const NAMED: [&str; 34] = [
    "looped ARGS",
    "looped check",
    "looped check --device cuda:0",
    "looped check EXPERIMENT --explain",
    "looped compare",
    "looped eval",
    "looped exits",
    "looped export",
    "looped help",
    "looped import",
    "looped list",
    "looped list engines",
    "looped ls",
    "looped match",
    "looped resume",
    "looped resume RUN --device cpu",
    "looped resume RUN training.ranks=1",
    "looped run",
    "looped run --device cuda:0",
    "looped run experiments/quickstart_adam.toml training.train_steps=1",
    "looped run experiments/study/base.toml training.precision=bf16 --device cuda:0",
    "looped schema",
    "looped schema sweep",
    "looped stability",
    "looped sweep",
    "looped sweep /shared/runs/last_n --report",
    "looped sweep /shared/runs/last_n --shard 0/8",
    "looped sweep DIR --cancel",
    "looped sweep DIR --report",
    "looped sweep DIR --resubmit",
    "looped sweep DIR --status",
    "looped sweep DIR --wait",
    "looped sweep sweep.toml --out /shared/runs/last_n --executor slurm",
    "looped sweep sweep.toml --out /shared/runs/last_n --plan",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The commands of all pages but the tutorial: those of `sh` blocks, and those in running text.
fn commands() -> BTreeSet<String> {
    let mut pages = vec![root().join("README.md"), root().join("CONTRIBUTING.md")];
    pages.extend(fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path()));
    pages.retain(|page| page.extension().is_some_and(|e| e == "md") && !page.ends_with("tutorial.md"));
    let mut found = BTreeSet::new();
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        let mut fence: Option<&str> = None;
        for line in text.lines() {
            if let Some(language) = line.strip_prefix("```") {
                fence = if fence.is_some() { None } else { Some(language) };
            } else if fence == Some("sh") {
                found.extend(line.strip_prefix("looped ").map(|rest| format!("looped {rest}")));
            } else if fence.is_none() {
                let spans = line.split('`').skip(1).step_by(2);
                found.extend(spans.filter(|span| span.starts_with("looped ")).map(str::to_owned));
            }
        }
    }
    found.into_iter().map(|command| command.split("   #").next().unwrap().trim().to_owned()).collect()
}

/// A command of a page with the reader's names replaced.
fn replaced(command: &str) -> String {
    let all = NAMES.iter().fold(command.to_owned(), |text, (name, here)| text.replace(name, here));
    all.split(' ').map(|word| word.replace("RUN", "run")).collect::<Vec<_>>().join(" ")
}

/// Runs a command of a page, as a shell reads it.
fn by_shell(place: &Place, command: &str) -> Ran {
    let program = Path::new(env!("CARGO_BIN_EXE_looped")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let output = std::process::Command::new("sh")
        .args(["-c", command])
        .current_dir(place.path(""))
        .env("PATH", path)
        .env_remove("MLFLOW_TRACKING_URI")
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// What the pages' readers have by then: runs, a sweep file.
fn place() -> Place {
    let place = Place::new();
    let sweep = "base = \"tiny.toml\"\nseeds = [0, 1]\n[axes]\n\"model.n_layer\" = [1, 2]\n";
    fs::write(place.path("sweep.toml"), sweep).unwrap();
    for (out, name, seed) in [
        ("run", "tiny", 3),
        ("other", "other", 3),
        ("runs/all-seed0", "all tokens", 0),
        ("runs/all-seed1", "all tokens", 1),
        ("runs/last20-seed0", "last 20", 0),
        ("runs/last20-seed1", "last 20", 1),
    ] {
        let changes = [format!("name=\"{name}\""), format!("seed={seed}")];
        let layers =
            if name == "tiny" || name == "all tokens" { "model.n_layer=1" } else { "model.n_layer=2" };
        place.looped(&["run", "tiny.toml", &changes[0], &changes[1], layers, "--out", out]).ok();
    }
    place
}

#[test]
fn every_command_of_the_pages_is_known_here() {
    let known: BTreeSet<String> =
        NAMED.iter().copied().chain(SHOWN.iter().map(|(command, _)| *command)).map(str::to_owned).collect();
    let found = commands();
    let unknown: Vec<_> = found.difference(&known).collect();
    let gone: Vec<_> = known.difference(&found).collect();
    assert!(
        unknown.is_empty() && gone.is_empty(),
        "not run here: {unknown:#?}; no longer on a page: {gone:#?}"
    );
}

#[test]
fn commands_that_are_only_named_exist() {
    let place = Place::new();
    for command in NAMED.iter().filter(|command| !command.contains("ARGS")) {
        let name = command.split(' ').nth(1).unwrap();
        let help = if name == "help" { vec!["help"] } else { vec!["help", name] };
        assert!(place.looped(&help).ok().stdout.contains("Usage: looped"), "{command}");
    }
    for schema in [&["schema"][..], &["schema", "sweep"]] {
        let printed = place.looped(schema).ok().stdout;
        assert!(serde_json::from_str::<serde_json::Value>(&printed).unwrap().is_object());
    }
}

#[test]
fn every_command_of_the_pages_prints_what_it_should() {
    let reader = place();
    for (command, expected) in SHOWN {
        // Each begins where a reader does.
        let place = Place::new();
        copy(&reader.path(""), &place.path(""));
        let ran = by_shell(&place, &replaced(command));
        assert_eq!(ran.code, Some(0), "{command}:\n{}", ran.stderr);
        shows(shape(&ran.stdout), expected());
    }
}

/// A text with `#` for each number, and one space or dash where there are several: what a page shows of it.
fn shape(text: &str) -> String {
    let word = |word: &str| {
        let mut shaped = String::new();
        let mut characters = word.chars().peekable();
        while let Some(c) = characters.next() {
            if c.is_ascii_digit() {
                while characters.next_if(|c| c.is_ascii_digit() || "._e+".contains(*c)).is_some() {}
                // The minus of an exponent.
                if characters.peek() == Some(&'-') && word.contains("e-") {
                    characters.next();
                    while characters.next_if(char::is_ascii_digit).is_some() {}
                }
                shaped.push('#');
            } else if c != '-' || !shaped.ends_with('-') {
                shaped.push(c);
            }
        }
        shaped
    };
    let line = |line: &str| line.split_whitespace().map(word).collect::<Vec<_>>().join(" ") + "\n";
    let shaped: String = text.lines().map(line).collect();
    // What these runs of a moment show hangs on the last bits.
    let verdicts = ["better", "worse", "equal within #", "undecided"];
    verdicts.iter().fold(shaped, |text, verdict| text.replace(&format!("{verdict} (p"), "VERDICT (p"))
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}
