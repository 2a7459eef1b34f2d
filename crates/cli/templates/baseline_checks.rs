//! The baseline passes the checks that looped's own pass.

use looped_core::{Baseline, Prompt, Result};
use looped_testing::{baseline_is_causal, is_registered, round_trips};
use part_name::PartName;

/// Each prediction is finite and comes from its own x and the points before it alone; the first is 0.
#[test]
fn no_prediction_sees_its_own_or_a_later_y() {
    baseline_is_causal(&PartName { rate: 1.0 });
    baseline_is_causal(&PartName { rate: 0.1 });
}

#[test]
fn at_rate_1_a_point_seen_is_a_point_known() -> Result<()> {
    let xs = [1.0, 2.0, -1.0, 0.5, -1.0, 0.5];
    let predictions = PartName { rate: 1.0 }.predict(Prompt { xs: &xs, ys: &[3.0, 7.0, 0.0], dims: 2 })?;
    assert!((predictions[2] - 7.0).abs() < 1e-5, "{predictions:?}");
    Ok(())
}

#[test]
fn its_table_reads_back_and_is_documented() {
    let table = r#"{"type":"part_name","rate":0.5}"#;
    round_trips::<dyn Baseline>(table);
    is_registered::<dyn Baseline>(table);
}
