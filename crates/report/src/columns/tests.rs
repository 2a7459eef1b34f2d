//! Tables and the bytes that they are.

use super::{Column, csv, parquet};

fn table() -> [Column; 4] {
    let words = ["runs/a", "runs/a", "with, a comma", "and \"quotes\""];
    [
        Column::text("run", words.map(str::to_owned).to_vec()),
        Column::whole("step", vec![0, 10, -20, i64::MAX]),
        Column::real("loss", vec![Some(1.0), Some(0.1 + 0.2), Some(1e-20), Some(f64::NAN)]),
        Column::real("validation", vec![Some(0.5), None, Some(f64::INFINITY), None]),
    ]
}

#[test]
fn csv_has_a_header_quotes_and_numbers_that_read_the_same_again() {
    let expected = "run,step,loss,validation
runs/a,0,1.0,0.5
runs/a,10,0.30000000000000004,
\"with, a comma\",-20,1e-20,inf
\"and \"\"quotes\"\"\",9223372036854775807,NaN,
";
    assert_eq!(csv(&table()), expected);
    assert_eq!(csv(&[Column::text("run", Vec::new())]), "run\n");
}

/// The file is what `scripts/mlflow/check.py` reads by pyarrow.
#[test]
fn parquet_is_the_file_that_pyarrow_has_read() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/table.parquet");
    if std::env::var_os("LOOPED_BLESS").is_some() {
        std::fs::write(path, parquet(&table())).unwrap();
    }
    assert_eq!(parquet(&table()), std::fs::read(path).unwrap());
}
