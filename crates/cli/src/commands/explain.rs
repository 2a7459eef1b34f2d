//! `looped check --explain`: what is computed how often, what is kept, and what it costs, node by node.

use looped_config::Experiment;
use looped_cpu::Explanation;
use looped_report::table::{Column, Table};

use crate::failure::{Failure, Outcome};

/// Prints what the CPU engine makes of an experiment's model at its longest prompts.
pub(crate) fn print(experiment: &Experiment) -> Outcome {
    let points = experiment.training.curriculum.points.end;
    let graph = experiment.model.graph()?;
    let explanation =
        looped_cpu::explain(&graph, experiment.model.layout(), points).map_err(Failure::failed)?;
    println!();
    for line in table(&explanation).text().lines().chain(summary(&explanation).iter().map(String::as_str)) {
        println!("{}", format!("# {line}").trim_end());
    }
    Ok(())
}

fn table(explanation: &Explanation) -> Table {
    let mut table = Table::new([
        Column::left("part"),
        Column::left("operation"),
        Column::left("rows"),
        Column::left("once a"),
        Column::right("tokens a loop"),
        Column::right("FLOPs"),
        Column::right("kept, bytes"),
        Column::left("note"),
    ]);
    for node in &explanation.nodes {
        let number = |n: u64| if n == 0 { String::new() } else { n.to_string() };
        let note = match (&node.by_candle, node.again) {
            (Some(_), _) => "by candle: no kernel",
            (_, true) => "computed again backward",
            _ => "",
        };
        table.push([
            node.part.clone(),
            node.name.clone(),
            node.shape.clone(),
            node.rate.to_string(),
            number(node.looped_tokens as u64),
            number(node.flops.once + node.flops.each_loop),
            number(node.kept as u64),
            note.to_owned(),
        ]);
    }
    table
}

fn summary(explanation: &Explanation) -> Vec<String> {
    let Explanation { nodes, tokens, early, left_out } = explanation;
    let sum = |of: &dyn Fn(&looped_cpu::Explained) -> u64| nodes.iter().map(of).sum::<u64>();
    let (once, each) = (sum(&|node| node.flops.once), sum(&|node| node.flops.each_loop));
    let kept = sum(&|node| node.kept as u64);
    vec![
        String::new(),
        format!(
            "of one prompt's {tokens} tokens, {early} are the same in every loop and computed once; {left_out} at the end are left out"
        ),
        format!("FLOPs forward, of one prompt: {once} once, and {each} in each loop"),
        format!("kept for the backward pass, of one prompt: {kept} bytes in each loop of the window"),
    ]
}
