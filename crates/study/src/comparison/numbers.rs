//! `comparison.json`: every number behind the report.

use looped_eval::Curve;
use serde_json::{Value, json};

use crate::comparison::Comparison;
use crate::comparison::variant::Variant;

/// All numbers; what is not finite is null.
pub(crate) fn json(comparison: &Comparison) -> Value {
    let evaluation = &comparison.first().evaluation;
    let first = &comparison.variants[0];
    let baselines = comparison.baselines.iter().map(|(name, of)| (name.to_owned(), curve(of)));
    json!({
        "task": evaluation.task,
        "score": evaluation.score,
        "normaliser": evaluation.normaliser,
        "dims": evaluation.dims,
        "prompts": evaluation.prompts,
        "variants": comparison.variants.iter().map(|of| variant(of, first)).collect::<Vec<_>>(),
        "baselines": Value::Object(baselines.collect()),
    })
}

fn variant(variant: &Variant, first: &Variant) -> Value {
    let cost = variant.first().cost;
    let history = &variant.history;
    json!({
        "name": variant.name,
        "difference": variant.difference_from(first),
        "runs": variant.runs.iter().map(|run| run.path.display().to_string()).collect::<Vec<_>>(),
        "seeds": variant.seeds(),
        "parameters": cost.parameters,
        "positions": cost.positions,
        "flops": cost.flops,
        "seconds": variant.runs.iter().map(|run| run.seconds()).collect::<Vec<_>>(),
        "error": curve(&variant.error),
        "error_span": curve(&variant.error_span),
        "per_loop_span": curve(&variant.per_loop),
        "training": {
            "step": history.steps,
            "loss": history.loss,
        },
        "held_out": {
            "step": history.held_out.steps,
            "flops": history.held_out.flops,
            "seconds": history.held_out.seconds,
            "loss": history.held_out.loss.mean,
            "least": history.held_out.loss.low,
            "greatest": history.held_out.loss.high,
        },
    })
}

fn curve(curve: &Curve) -> Value {
    json!({ "mean": curve.mean, "low": curve.low, "high": curve.high })
}
