//! How many seeds show a difference: the table of `docs/statistics.md`, and how often three seeds of two variants do.
//!
//! ```sh
//! cargo run -p looped-study --example power
//! ```

use looped_study::statistics::{Spread, power, seeds_to_show};

fn main() {
    println!("| spread of a run | variants | ratio 1.1 | 1.25 | 1.5 |\n| --- | --- | --- | --- | --- |");
    for spread in [0.05f64, 0.1, 0.18, 0.3] {
        for variants in [2, 9] {
            let spread_of = Spread { of_runs: spread.powi(2), of_prompts: 0.0, variants };
            let seeds = [1.1, 1.25, 1.5].map(|ratio| {
                seeds_to_show(ratio, spread_of)
                    .map_or_else(|| "over 1000".to_owned(), |seeds| seeds.to_string())
            });
            println!("| {:.0} % | {variants} | {} |", 100.0 * spread, seeds.join(" | "));
        }
    }
    let spread = Spread { of_runs: 0.18f64.powi(2), of_prompts: 0.0, variants: 2 };
    for ratio in [2.0, 1.5] {
        let share = power(ratio, spread, 3);
        println!(
            "two variants, three seeds, a spread of 18 %: a ratio of {ratio} is shown in {:.0} %",
            100.0 * share
        );
    }
}
