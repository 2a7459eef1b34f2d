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

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

pub use build::build;
pub use looped_study::sweep::Program;

use crate::args::{Cli, Command};
use crate::failure::{Failure, Outcome};

/// Runs the command that this process's arguments ask for.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::from(run(std::env::args_os()))
}

/// Runs the command that these arguments ask for, of which the first is the program's name, and returns the exit code.
///
/// For a program whose own arguments are others, as an interpreter's are. Such a program also says by [`Program::is`] how it is started.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let color = terminal::color_in(arguments.iter().skip(1).cloned());
    let mut command = Cli::command().color(color);
    let parsed = command
        .try_get_matches_from_mut(arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command)));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(told) => {
            // Help and version are results; what is wrong with the arguments is not.
            match told.print() {
                Err(error) if !told.use_stderr() => output::unprinted(&error),
                _ => return if told.use_stderr() { 2 } else { 0 },
            }
        }
    };
    terminal::set(cli.messages.color, cli.messages.quiet);
    environment::prepare(&cli.command);
    match dispatch(cli.command) {
        Ok(()) => 0,
        Err(failure) => {
            failure.tell();
            failure.code()
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
        Command::Export(args) => commands::export::export(&args),
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
