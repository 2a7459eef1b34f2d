//! `looped schema`: what an experiment or sweep file may hold, for editors that complete and check it.

use crate::args::{SchemaArgs, SchemaOf};
use crate::failure::{Failure, Outcome};

pub(crate) fn schema(args: &SchemaArgs) -> Outcome {
    let schema = match args.of {
        SchemaOf::Experiment => looped_config::json_schema(),
        SchemaOf::Sweep => looped_config::sweep::json_schema(),
    };
    println!("{}", serde_json::to_string_pretty(&schema).map_err(Failure::failed)?);
    Ok(())
}

#[cfg(test)]
mod tests;
