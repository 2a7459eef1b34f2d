//! `looped ls`: the runs and sweeps below a folder.

use std::io::ErrorKind;
use std::path::Path;

use looped_report::table::{Column, Table};

use crate::args::LsArgs;
use crate::failure::{Failure, Outcome};
use crate::listing::{Listing, RunEntry};

pub(crate) fn ls(args: &LsArgs) -> Outcome {
    let (folder, is_named) = args.folder();
    let folder = folder.as_path();
    let listing = match Listing::of(folder) {
        // The first run will make it.
        Err(error) if !is_named && error.kind() == ErrorKind::NotFound => Listing::default(),
        listing => listing
            .map_err(|error| Failure::usage(format!("{}: cannot be read: {error}", folder.display())))?,
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&listing).map_err(Failure::failed)?);
        return Ok(());
    }
    let mut table = Table::new([
        Column::left("run"),
        Column::left("state"),
        Column::right("step"),
        Column::right("loss"),
        Column::right("validation"),
        Column::right("error"),
        Column::right("age"),
    ]);
    for sweep in &listing.sweeps {
        let done = format!("{} of {} runs", sweep.finished, sweep.planned);
        let none = String::new;
        table.push([
            shown(&sweep.path, folder),
            sweep.state.name().to_owned(),
            done,
            none(),
            none(),
            none(),
            age(sweep.age_seconds),
        ]);
        for run in &sweep.runs {
            table.push(row(run, &format!("  {}", shown(&run.path, &sweep.path.join("runs")))));
        }
    }
    for run in &listing.runs {
        table.push(row(run, &shown(&run.path, folder)));
    }
    if listing.sweeps.is_empty() && listing.runs.is_empty() {
        eprintln!("note: there are no runs in {} yet", folder.display());
        return Ok(());
    }
    print!("{}", table.text());
    Ok(())
}

fn row(run: &RunEntry, name: &str) -> [String; 7] {
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |x| format!("{x:.4}"));
    [
        name.to_owned(),
        run.state.name().to_owned(),
        format!("{}/{}", run.step, run.steps),
        number(run.loss),
        number(run.validation_loss),
        number(run.error),
        age(run.age_seconds),
    ]
}

/// A path as seen from the folder that is listed.
fn shown(path: &Path, folder: &Path) -> String {
    match path.strip_prefix(folder) {
        Ok(inner) if inner.as_os_str().is_empty() => path.display().to_string(),
        Ok(inner) => inner.display().to_string(),
        Err(_) => path.display().to_string(),
    }
}

/// The largest unit that fits.
fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}
