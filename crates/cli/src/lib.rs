//! The `looped` command line, as a library: a plugin's binary is `cli::main()` with the plugin's crate linked.
//!
//! ```no_run
//! // use my_plugin as _;
//! fn main() -> std::process::ExitCode {
//!     cli::main()
//! }
//! ```

mod args;
mod chosen_baselines;
mod commands;
mod data;
mod failure;
#[cfg(test)]
mod never_panics;
mod plugins;
mod progress;
mod scaffold;
mod shell;
mod stop;
mod suites;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::failure::{Failure, Outcome};

/// Runs the command that the arguments ask for.
#[must_use]
pub fn main() -> ExitCode {
    stop::end_with_the_reader();
    let cli = Cli::parse();
    match dispatch(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            match &failure {
                Failure::Usage(message) | Failure::Failed(message) => eprintln!("error: {message}"),
                Failure::Interrupted => {}
            }
            ExitCode::from(failure.code())
        }
    }
}

fn dispatch(command: Command) -> Outcome {
    let clashes = looped_core::Part::clashes();
    if !clashes.is_empty() {
        let advice = "unlink one of the crates, or rename its part";
        return Err(Failure::usage(format!("{}; {advice}", clashes.join("\n"))));
    }
    match command {
        Command::Run(args) => commands::run::run(&args),
        Command::Resume(args) => commands::resume::resume(&args),
        Command::Check(args) => commands::check::check(&args),
        Command::List(args) => commands::list::list(&args),
        Command::Schema(args) => commands::schema::schema(&args),
        Command::Import(args) => commands::import::import(&args),
        Command::Predict(args) => commands::predict::predict(&args),
        Command::Eval(args) => commands::eval::eval(&args),
        Command::Probe(args) => commands::probe::probe(&args),
        Command::Baselines(args) => commands::baselines::baselines(&args),
        Command::Compare(args) => commands::compare::compare(&args),
        Command::Sweep(args) => commands::sweep::sweep(&args),
        Command::New(args) => commands::new::new(&args),
    }
}

/// The README's examples, compiled and run with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
