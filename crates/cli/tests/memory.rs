//! Memory grows with the window, not with the loops: the loops before the window keep no graph and no tape.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use common::Place;

/// The most memory, in MB, that one training step of so many loops has held.
fn peak(place: &Place, engine: &str, loops: usize, window: usize) -> f64 {
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
    let mut child = place
        .command(&arguments)
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
        let [short, long, wide] =
            [(20, 10), (200, 10), (200, 100)].map(|(loops, window)| peak(&place, engine, loops, window));
        println!(
            "{engine}: {short:.0} MB at 20 loops, {long:.0} MB at 200, window 10; {wide:.0} MB at 200, window 100"
        );
        assert!(long < 1.15 * short + 10.0, "{engine}: {short:.0} MB at 20 loops, {long:.0} MB at 200");
        assert!(wide > 1.5 * long, "{engine}: {long:.0} MB with window 10, {wide:.0} MB with window 100");
    }
}
