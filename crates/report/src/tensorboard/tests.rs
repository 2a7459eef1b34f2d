use super::*;
use std::process::Command;

/// Ten steps a record, from 0; the path of the finished file.
fn written(dir: &Path, records: u64) -> PathBuf {
    let mut events = EventWriter::create(dir, 1_700_000_000.5).unwrap();
    for i in 0..records {
        events
            .scalars(1_700_000_001.0 + i as f64, i * 10, &[("loss", 1.0 / (i + 1) as f32), ("loops", 5.0)])
            .unwrap();
    }
    events.flush().unwrap();
    events.path().to_owned()
}

fn steps(path: &Path) -> Vec<u64> {
    let bytes = std::fs::read(path).unwrap();
    record::read(&bytes).map(|event| event::step(event).unwrap()).collect()
}

#[test]
fn a_file_is_named_for_tensorboard_and_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(name(&written(dir.path(), 1)), "events.out.tfevents.1700000000.looped.0");
    assert_eq!(name(&written(dir.path(), 1)), "events.out.tfevents.1700000000.looped.1");
    assert_eq!(name(&newest(dir.path()).unwrap().unwrap()), "events.out.tfevents.1700000000.looped.1");
}

#[test]
fn every_record_reads_back_with_its_step() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(steps(&written(dir.path(), 4)), [0, 0, 10, 20, 30]);
}

#[test]
fn a_cut_keeps_the_given_step_and_drops_later_ones() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path(), 5);
    assert_eq!(truncate_after(&path, 25).unwrap(), 4);
    assert_eq!(steps(&path), [0, 0, 10, 20]);
    assert_eq!(truncate_after(&path, 20).unwrap(), 4);
    assert_eq!(truncate_after(&path, 0).unwrap(), 2);
}

#[test]
fn a_resumed_file_equals_an_uninterrupted_one() {
    let (whole, resumed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let whole = written(whole.path(), 4);
    let path = written(resumed.path(), 3);
    truncate_after(&path, 10).unwrap();
    let mut events = EventWriter::append(&path, 0.0).unwrap();
    for i in 2..4_u64 {
        events
            .scalars(1_700_000_001.0 + i as f64, i * 10, &[("loss", 1.0 / (i + 1) as f32), ("loops", 5.0)])
            .unwrap();
    }
    drop(events);
    assert_eq!(std::fs::read(path).unwrap(), std::fs::read(whole).unwrap());
}

#[test]
fn a_torn_record_is_dropped_wherever_it_tore() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path(), 3);
    let bytes = std::fs::read(&path).unwrap();
    for cut in 0..bytes.len() {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let mut events = EventWriter::append(&path, 7.0).unwrap();
        events.scalars(8.0, 99, &[("loss", 0.5)]).unwrap();
        drop(events);
        let steps = steps(&path);
        assert_eq!((steps[0], steps.last()), (0, Some(&99)), "torn at {cut}");
    }
}

#[test]
fn a_missing_file_is_named_in_the_error() {
    let error = truncate_after(Path::new("/nowhere/events"), 3).unwrap_err();
    assert!(error.to_string().starts_with("/nowhere/events: "), "{error}");
}

/// The real TensorBoard reads the file, where `LOOPED_PYTHON` names a Python that has it.
#[test]
fn tensorboard_reads_it() {
    let Some(python) = std::env::var_os("LOOPED_PYTHON") else { return };
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 3);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/read_events.py");
    let output = Command::new(python).arg(script).arg(dir.path()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let expected = "loops 0 5.000000\nloops 10 5.000000\nloops 20 5.000000\n\
                    loss 0 1.000000\nloss 10 0.500000\nloss 20 0.333333\n";
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}
