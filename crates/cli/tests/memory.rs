//! Memory grows with the window, not with the loops: the loops before the window keep no graph and no tape.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use common::Place;

/// The most memory, in MB, that one training step of so many loops has held.
fn peak_of_loops(place: &Place, engine: &str, loops: usize, window: usize) -> f64 {
    let curriculum = "training.curriculum={dims={start=2,end=2,inc=0,interval=1},points={start=10,end=10,inc=0,interval=1},";
    let arguments = [
        "run".to_owned(),
        "tiny.toml".to_owned(),
        "model.n_embd=32".to_owned(),
        "model.n_positions=10".to_owned(),
        "training.batch_size=16".to_owned(),
        "training.train_steps=1".to_owned(),
        "training.threads=2".to_owned(),
        format!("training.engine={engine}"),
        format!("training.n_loop_window={window}"),
        format!("{curriculum}loops={{start={loops},end={loops},inc=0,interval=1}}}}"),
        "evaluation={prompts=2,loops=1,baselines=[]}".to_owned(),
        format!("--out={engine}-{loops}-{window}"),
    ];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    peak(place, &arguments)
}

/// The most memory, in MB, that a command has held.
fn peak(place: &Place, arguments: &[&str]) -> f64 {
    let mut child = place
        .command(arguments)
        .env("RAYON_NUM_THREADS", "1")
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0.0f64;
    loop {
        // The system keeps the highest mark; the last look before the end has all but the final moments.
        let text = fs::read_to_string(&status).unwrap_or_default();
        let mark = text
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        peak = peak.max(mark.unwrap_or(0.0) / 1024.0);
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            return peak;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn memory_grows_with_the_window_and_not_with_the_loops() {
    let place = Place::new();
    for engine in ["candle", "fused"] {
        let [short, long, wide] = [(20, 10), (200, 10), (200, 200)]
            .map(|(loops, window)| peak_of_loops(&place, engine, loops, window));
        println!(
            "{engine}: {short:.0} MB at 20 loops, {long:.0} MB at 200, window 10; {wide:.0} MB at 200, window 200"
        );
        assert!(long < 1.15 * short + 10.0, "{engine}: {short:.0} MB at 20 loops, {long:.0} MB at 200");
        assert!(wide > 1.5 * long, "{engine}: {long:.0} MB with window 10, {wide:.0} MB with window 200");
    }
}

/// The estimate that `check` prints and `run` goes by, in MB.
fn estimated(place: &Place, arguments: &[&str]) -> f64 {
    let printed = place.looped(arguments).ok().stdout;
    let line = printed.lines().find_map(|line| line.strip_prefix("# peak memory, estimated: ")).unwrap();
    let (number, unit) = line.split_once(' ').unwrap();
    let scale =
        [("GB", 1e9), ("MB", 1e6), ("kB", 1e3)].into_iter().find(|(name, _)| *name == unit).unwrap().1;
    number.parse::<f64>().unwrap() * scale / 1024.0 / 1024.0
}

#[test]
fn the_estimate_is_what_a_run_takes_within_a_fifth() {
    let place = Place::new();
    let mut wrong = Vec::new();
    for (engine, batch, window) in [("fused", 64, 8), ("candle", 8, 4)] {
        for width in [64, 256] {
            let (out, out_key) = (format!("{engine}-{width}"), "--out");
            let settings = [
                "tiny.toml".to_owned(),
                format!("model.n_embd={width}"),
                "model.n_positions=41".to_owned(),
                "model.block.n_head=8".to_owned(),
                format!("training.batch_size={batch}"),
                "training.train_steps=1".to_owned(),
                "training.threads=2".to_owned(),
                format!("training.engine={engine}"),
                format!("training.n_loop_window={window}"),
                "training.curriculum={dims=2, points=41, loops=8}".to_owned(),
                "evaluation={prompts=64, baselines=[]}".to_owned(),
            ];
            let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
            let told = estimated(&place, &[&["check"], &settings[..]].concat());
            let taken = peak(&place, &[&["run"], &settings[..], &[out_key, &out]].concat());
            let line = format!("{engine}, width {width}: {told:.1} MB estimated, {taken:.1} MB taken");
            println!("{line}");
            if !(0.8..1.2).contains(&(told / taken)) {
                wrong.push(line);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
