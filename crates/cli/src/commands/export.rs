//! `looped export`: what runs have logged, or were scored, for other programs.

use std::path::Path;

use looped_report::columns::{Column, csv, parquet};
use looped_study::export;
use looped_train::write_atomically;
use serde_json::json;

use crate::args::{ExportArgs, Exported};
use crate::failure::{Failure, Outcome};
use crate::output::{answer, shown};

pub(crate) fn export(args: &ExportArgs) -> Outcome {
    let write = args.out.as_deref().map(writer).transpose()?;
    let columns = match args.what {
        Exported::Metrics if args.eval.is_some() => {
            return Err(Failure::usage("--eval names an evaluation: add --what evaluation"));
        }
        Exported::Metrics => export::metrics(&args.runs)?,
        Exported::Evaluation => export::evaluations(&args.runs, args.eval.as_deref())?,
    };
    let (Some(out), Some(write)) = (&args.out, write) else {
        print!("{}", csv(&columns));
        return Ok(());
    };
    write_atomically(out, &write(&columns))?;
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    answer(args.json, &json!({ "out": shown(out), "columns": names }), || shown(out))
}

/// Writes a table as the bytes of a file.
type Writer = fn(&[Column]) -> Vec<u8>;

/// What writes a file of this name.
fn writer(out: &Path) -> Outcome<Writer> {
    if out.is_dir() {
        return Err(Failure::usage(format!("--out {}: is a folder", out.display())));
    }
    match out.extension().and_then(|ending| ending.to_str()) {
        Some("csv") => Ok(|columns| csv(columns).into_bytes()),
        Some("parquet") => Ok(parquet),
        _ => Err(Failure::usage(format!(
            "--out {}: the ending says the format; allowed: .csv, .parquet",
            out.display()
        ))),
    }
}
