//! `looped man`: the manual pages.

use std::fs;

use clap::CommandFactory;

use crate::args::{Cli, ManArgs};
use crate::failure::{Failure, Outcome};

pub(crate) fn man(args: &ManArgs) -> Outcome {
    let command = Cli::command();
    match &args.out {
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page).map_err(Failure::failed)?;
            print!("{}", String::from_utf8(page).map_err(Failure::failed)?);
        }
        Some(folder) => {
            let cannot = |error| Failure::failed(format!("{}: cannot be written: {error}", folder.display()));
            fs::create_dir_all(folder).map_err(cannot)?;
            clap_mangen::generate_to(command, folder).map_err(cannot)?;
            println!("{}", folder.display());
        }
    }
    Ok(())
}
