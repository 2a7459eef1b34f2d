//! Whether a prediction sees later points is what the block says.

use looped_core::{Error, ParamStore, Predictor, Prompts};
use looped_reference::ReferenceModel;

const LOOPS: usize = 3;

/// A causal block's predictions don't change with later points, those of another block do, and each prediction sees its own x.
pub(crate) fn points_are_seen_as_said(
    model: &ReferenceModel,
    store: &ParamStore,
    prompts: &Prompts,
    causal: bool,
) -> Result<(), String> {
    let prompts = prompts.slice(0..1);
    let mut other = prompts.clone();
    let last = prompts.points - 1;
    // The last point's x, and the y before it, of which earlier predictions know nothing.
    other.xs[last * prompts.n_dims] += 1.0;
    other.ys[last - 1] -= 1.0;
    let predicted = |prompts: &Prompts| model.predictor(store).predict(prompts, LOOPS);
    let text = |error: Error| error.to_string();
    let (one, two) = (predicted(&prompts).map_err(text)?, predicted(&other).map_err(text)?);
    let mut sees_later = false;
    for index in 0..LOOPS {
        let (one, two) = (one.after(index), two.after(index));
        if one[last] == two[last] {
            return Err(format!("the prediction after loop {} doesn't see its own x", index + 1));
        }
        sees_later |= one[..last] != two[..last];
    }
    match (causal, sees_later) {
        (true, true) => {
            Err("predictions see later points; a block that means it says so by `is_causal`".to_owned())
        }
        (false, false) => {
            Err("the block sees no later points, and its `is_causal` says that it does".to_owned())
        }
        _ => Ok(()),
    }
}
