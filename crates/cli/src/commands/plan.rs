//! What a sweep would run, and what that will cost: for `check` and `sweep --dry-run`.

use looped_report::table::{Column, Table};
use looped_study::sweep::{Plan, RunState};
use looped_train::Cost;
use serde_json::{Value, json};

use crate::failure::{Failure, Outcome};

/// Prints a row for each variant, and the sums.
pub(crate) fn print_plan(plan: &Plan, as_json: bool) -> Outcome {
    plan.notes.iter().for_each(|note| eprintln!("note: {note}"));
    let mut table = Table::new([
        Column::left("variant"),
        Column::right("parameters"),
        Column::right("FLOPs a run"),
        Column::right("memory a run"),
    ]);
    let mut variants: Vec<Value> = Vec::new();
    let mut flops = 0.0;
    for variant in &plan.variants {
        let cost = Cost::of(variant.experiment())?;
        flops += cost.flops * variant.seeds as f64;
        table.push([
            variant.experiment().name.clone(),
            cost.parameters.to_string(),
            format!("{:.3e}", cost.flops),
            format!("{}B", short(cost.memory)),
        ]);
        variants.push(json!({
            "name": variant.experiment().name,
            "seeds": variant.seeds,
            "parameters": cost.parameters,
            "flops": cost.flops,
            "memory_bytes": cost.memory,
        }));
    }
    let runs = plan.runs.len();
    if as_json {
        return print_json(&json!({ "runs": runs, "flops": flops, "variants": variants }));
    }
    print!("{}", table.text());
    println!();
    let seeds = plan.variants.first().map_or(0, |variant| variant.seeds);
    println!("# runs: {runs}, each variant with {seeds} seed{}", if seeds == 1 { "" } else { "s" });
    let is = |state: RunState| plan.runs.iter().filter(|run| run.state() == state).count();
    let (finished, begun) = (is(RunState::Finished), is(RunState::Begun) + is(RunState::ToEvaluate));
    if finished + begun > 0 {
        println!("# of these finished: {finished}, begun: {begun}");
    }
    println!("# FLOPs of all runs: {flops:.3e}");
    Ok(())
}

pub(crate) fn print_json(value: &Value) -> Outcome {
    println!("{}", serde_json::to_string_pretty(value).map_err(Failure::failed)?);
    Ok(())
}

/// Three digits and a decimal prefix.
pub(crate) fn short(value: f64) -> String {
    let scale = [(1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")];
    match scale.into_iter().find(|&(size, _)| value >= size) {
        Some((size, prefix)) => format!("{:.2}{prefix}", value / size),
        None => format!("{value:.0} "),
    }
}
