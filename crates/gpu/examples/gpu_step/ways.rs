//! The ways of computing a step that a command line can name.

use looped_gpu::calls::Cores;
use looped_gpu::{Math, Options};

use crate::operations::Ways;

/// What a WAY of the command line means.
pub(crate) fn ways(way: &str) -> Result<(Ways, Options), String> {
    let mut words = way.split('+');
    let math = match words.next() {
        Some("f32") => Math::F32,
        Some("tf32") => Math::Tf32,
        Some("bf16") => Math::Bf16,
        _ => return Err(format!("{way} starts with none of f32, tf32, bf16")),
    };
    let attention = if math == Math::F32 { Cores::Plain } else { Cores::Tensor };
    let mut ways = Ways { math, attention };
    let mut options = Options::default();
    for word in words {
        match word {
            "plain" => ways.attention = Cores::Plain,
            "tuned" => options.tune = true,
            other => return Err(format!("{other} is neither plain nor tuned")),
        }
    }
    Ok((ways, options))
}
