//! The `looped` command line, as a library: a plugin's binary is `cli::main()` with the plugin's crate linked.
//!
//! ```no_run
//! // use my_plugin as _;
//! fn main() -> std::process::ExitCode {
//!     cli::main()
//! }
//! ```

#[macro_use]
mod output;

mod args;
mod build;
mod chosen_baselines;
mod commands;
mod data;
mod environment;
mod failure;
mod listing;
mod memory;
#[cfg(test)]
mod never_panics;
mod plugins;
mod progress;
mod ranks;
mod scaffold;
mod shell;
mod stop;
mod suites;
mod terminal;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use crate::args::{Cli, Command};
use crate::failure::{Failure, Outcome};

/// Runs the command that the arguments ask for.
#[must_use]
pub fn main() -> ExitCode {
    let color = terminal::color_in(std::env::args_os().skip(1));
    let mut command = Cli::command().color(color);
    let parsed = command
        .try_get_matches_from_mut(std::env::args_os())
        .and_then(|matches| Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command)));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(told) => {
            // Help and version are results; what is wrong with the arguments is not.
            match told.print() {
                Err(error) if !told.use_stderr() => output::unprinted(&error),
                _ => return ExitCode::from(if told.use_stderr() { 2 } else { 0 }),
            }
        }
    };
    terminal::set(cli.messages.color, cli.messages.quiet);
    environment::prepare(&cli.command);
    match dispatch(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell();
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
        Command::Run(args) => ranks::led(|ranks| commands::run::run(&args, ranks)),
        Command::Resume(args) => ranks::led(|ranks| commands::resume::resume(&args, ranks)),
        Command::Check(args) => commands::check::check(&args),
        Command::Ls(args) => commands::ls::ls(&args),
        Command::Report(args) => commands::report::report(&args),
        Command::List(args) => commands::list::list(&args),
        Command::Schema(args) => commands::schema::schema(&args),
        Command::Import(args) => commands::import::import(&args),
        Command::Predict(args) => commands::predict::predict(&args),
        Command::Eval(args) => commands::eval::eval(&args),
        Command::Probe(args) => commands::probe::probe(&args),
        Command::Match(args) => commands::matching::matching(&args),
        Command::Stability(args) => commands::stability::stability(&args),
        Command::Exits(args) => commands::exits::exits(&args),
        Command::Baselines(args) => commands::baselines::baselines(&args),
        Command::Compare(args) => commands::compare::compare(&args),
        Command::Sweep(args) => commands::sweep::sweep(&args),
        Command::New(args) => commands::new::new(&args),
        Command::Completions(args) => commands::completions::completions(&args),
        Command::Man(args) => commands::man::man(&args),
    }
}

/// The README's examples, compiled and run with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
