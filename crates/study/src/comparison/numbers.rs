//! `comparison.json`: every number behind the report.

use looped_eval::{Curve, Curves};
use serde_json::{Value, json};

use crate::comparison::ratios::Ratio;
use crate::comparison::variant::Variant;
use crate::comparison::{Comparison, MissingRun};
use crate::statistics::Pairing;

/// The version of what the file holds: 0, without a number, had arithmetic means and the span of the seeds.
const FORMAT: u32 = 1;

/// All numbers; what is not finite is null.
pub(crate) fn json(comparison: &Comparison) -> Value {
    let evaluation = &comparison.first().scored.evaluation;
    let first = &comparison.variants[0];
    let curves =
        |all: &Curves| Value::Object(all.iter().map(|(name, of)| (name.to_owned(), curve(of))).collect());
    json!({
        "format": FORMAT,
        "task": evaluation.task,
        "score": evaluation.score,
        "normaliser": evaluation.normaliser,
        "dims": evaluation.dims,
        "prompts": evaluation.prompts,
        "variants": comparison.variants.iter().map(|of| variant(of, first)).collect::<Vec<_>>(),
        "missing": comparison.missing.iter().map(missing).collect::<Vec<_>>(),
        "baselines": curves(&comparison.baselines),
        "baselines_per_loop": curves(&comparison.baselines_per_loop),
        "ratios": ratios(comparison),
    })
}

/// Every ratio of the table, with what its interval and verdict are made of.
fn ratios(comparison: &Comparison) -> Value {
    let ratios = &comparison.ratios;
    let name = |variant: usize| &comparison.variants[variant].name;
    let cells = ratios.iter().map(|(variant, examples, Ratio { contrast, ratio, judged })| {
        let of_seeds = contrast.of_seeds.iter().map(|(seed, ratio)| json!({ "seed": seed, "ratio": ratio }));
        json!({
            "variant": name(variant),
            "examples": examples,
            "ratio": ratio.estimate,
            "low": ratio.low,
            "high": ratio.high,
            "p": judged.p,
            "p_holm": judged.p_holm,
            "verdict": judged.verdict.words(ratios.margin),
            "pairing": pairing(contrast.pairing),
            "of_seeds": of_seeds.collect::<Vec<_>>(),
        })
    });
    let power = ratios.seeds_needed();
    let power = power.iter().map(|(ratio, seeds)| json!({ "ratio": ratio, "seeds": seeds }));
    json!({
        "against": name(ratios.against),
        "margin": ratios.margin,
        "interval": ratios.interval(comparison.basis),
        "cells": cells.collect::<Vec<_>>(),
        "seeds_needed": power.collect::<Vec<_>>(),
    })
}

fn pairing(pairing: Pairing) -> &'static str {
    match pairing {
        Pairing::Pooled => "pooled",
        Pairing::Paired => "paired",
        Pairing::Unpaired => "unpaired",
        Pairing::OneSeed => "one seed",
    }
}

fn variant(variant: &Variant, first: &Variant) -> Value {
    let cost = variant.first().cost;
    let history = &variant.history;
    let of_seeds: Vec<&Vec<f64>> =
        variant.runs.iter().filter_map(|run| run.means.over_examples.first()).collect();
    json!({
        "name": variant.name,
        "difference": variant.difference_from(first),
        "runs": variant.runs.iter().map(|run| run.path.display().to_string()).collect::<Vec<_>>(),
        "seeds": variant.seeds(),
        "missing": variant.missing.iter().map(missing).collect::<Vec<_>>(),
        "parameters": cost.parameters,
        "positions": cost.positions,
        "flops": cost.flops,
        "seconds": variant.runs.iter().map(|run| run.seconds()).collect::<Vec<_>>(),
        "cpu_seconds": variant.runs.iter().map(|run| run.cpu_seconds()).collect::<Vec<_>>(),
        "error": curve(&variant.error),
        "per_loop": curve(&variant.per_loop),
        "error_of_seeds": of_seeds,
        "training": {
            "step": history.steps,
            "loss": history.loss,
        },
        "validation": {
            "step": history.validation.steps,
            "flops": history.validation.flops,
            "cpu_seconds": history.validation.cpu_seconds,
            "loss": history.validation.mean(),
            "of_seeds": history.validation.of_seeds,
            "floor": variant.first().floor.as_ref().map(|floor| floor.loss),
        },
    })
}

fn missing(run: &MissingRun) -> Value {
    json!({ "variant": run.variant, "seed": run.seed, "why": run.why })
}

fn curve(curve: &Curve) -> Value {
    json!({ "mean": curve.mean, "low": curve.low, "high": curve.high })
}
