//! `looped completions`: what a shell needs to complete commands, options and files.

use clap::CommandFactory;

use crate::args::{Cli, CompletionsArgs};
use crate::failure::{Failure, Outcome};

pub(crate) fn completions(args: &CompletionsArgs) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "looped", &mut script);
    print!("{}", String::from_utf8(script).map_err(Failure::failed)?);
    Ok(())
}
