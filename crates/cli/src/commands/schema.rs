//! `looped schema`: what an experiment file may hold, for editors that complete and check it.

use crate::failure::{Failure, Outcome};

pub(crate) fn schema() -> Outcome {
    println!("{}", serde_json::to_string_pretty(&looped_config::json_schema()).map_err(Failure::failed)?);
    Ok(())
}

#[cfg(test)]
mod tests;
