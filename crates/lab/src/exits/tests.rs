mod formulas;
mod slower;

use looped_core::{Looping, Loops, Predictions, Prompts, Rng, Tensor};
use looped_eval::Scores;
use looped_tasks::{LinearClassification, LinearRegression};

use super::signals::without_each;
use super::*;

fn signal(in_a_row: usize, values: &[&[f64]]) -> Signal {
    Signal { name: "a rule".to_owned(), in_a_row, values: values.iter().map(|row| row.to_vec()).collect() }
}

#[test]
fn a_rule_stops_at_the_first_loop_below_its_threshold_or_the_first_of_two_in_a_row() {
    const NONE: f64 = f64::NAN;
    let rows: [&[f64]; 3] = [
        &[NONE, 0.5, 0.1, 0.3, 0.05, 0.01],
        &[NONE, 0.1, 0.1, 0.1, 0.1, 0.1],
        &[NONE, 0.9, 0.9, 0.9, 0.9, 0.1],
    ];
    let once = signal(1, &rows);
    assert_eq!(once.exits(0.2), [3, 2, 6]);
    assert_eq!(once.exits(0.0), [6, 6, 6], "nothing is below 0");
    // The last loop is the end in any case, and no exit.
    assert!((once.fires(0.2) - 2.0 / 3.0).abs() < 1e-12);
    assert_eq!(once.fires_above(), Some(0.05));
    let twice = signal(2, &rows);
    assert_eq!(twice.exits(0.2), [6, 3, 6]);
    assert_eq!(twice.fires_above(), Some(0.1));
    assert_eq!(signal(1, &[&[NONE, NONE, 0.5]]).fires_above(), None, "it fires at the last loop at best");
}

/// Errors and numbers with which a rule knows something of the prompts, but not all.
fn random_case(seed: u64) -> (Signal, Scores) {
    let (prompts, loops) = (60, 9);
    let mut rng = Rng::stream(seed, "exits", 0);
    let mut errors = Scores::new(loops);
    let mut values = Vec::new();
    for _ in 0..prompts {
        let speed = 0.2 + rng.uniform();
        let row: Vec<f64> =
            (0..loops).map(|l| (-speed * l as f64).exp() + 0.05 * (rng.uniform() + l as f64 / 9.0)).collect();
        values.push(row.iter().map(|error| error * (0.5 + rng.uniform())).collect());
        errors.push(row);
    }
    (Signal { name: "noisy".into(), in_a_row: 1 + (seed as usize) % 2, values }, errors)
}

#[test]
fn no_rule_and_no_random_exit_is_better_than_the_oracle_at_any_price_of_a_loop() {
    for seed in 0..20 {
        let (signal, errors) = random_case(seed);
        let front = rule(&signal, &errors, 20, 1);
        for price in [0.0, 1e-3, 0.01, 0.05, 0.5] {
            let (exits, loops) = oracle(&errors, price);
            let best = front::at_loops(&errors, &[exits]).mean()[0] + price * loops;
            for i in 0..front.thresholds.len() {
                let cost = price * front.mean_loops[i];
                assert!(best <= front.error.mean[i] + cost + 1e-12, "seed {seed}, price {price}: the rule");
                assert!(
                    best <= front.random[i].unwrap() + cost + 1e-12,
                    "seed {seed}, price {price}: random"
                );
            }
        }
        // And so the front bounds both: no point lies below it.
        let bound = front::of_oracle(&errors);
        assert!(bound.mean_loops.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(bound.error.windows(2).all(|pair| pair[0] >= pair[1]), "more loops cost no error");
        for (loops, error) in front.mean_loops.iter().zip(&front.error.mean) {
            let dearer = bound.mean_loops.iter().zip(&bound.error).filter(|(at, _)| *at >= loops);
            let least = dearer.filter_map(|(_, error)| *error).fold(f64::INFINITY, f64::min);
            assert!(least <= error + 1e-12 || *loops > bound.mean_loops[bound.mean_loops.len() - 1]);
        }
    }
}

#[test]
fn a_random_exit_has_the_mean_error_of_all_ways_to_deal_the_loops_out() {
    let mut errors = Scores::new(3);
    errors.push([1.0, 0.5, 0.4]);
    errors.push([0.2, 0.1, 0.9]);
    errors.push([0.6, 0.3, 0.0]);
    let exits = [1, 3, 2];
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let dealt = orders
        .iter()
        .map(|order| front::at_loops(&errors, &[order.iter().map(|&i| exits[i]).collect()]).mean()[0]);
    assert!((random(&exits, &errors.mean()) - dealt.sum::<f64>() / 6.0).abs() < 1e-12);
}

#[test]
fn a_rule_of_high_thresholds_takes_fewer_loops_and_its_first_never_fires() {
    let (signal, errors) = random_case(4);
    let front = rule(&signal, &errors, 20, 1);
    assert_eq!((front.thresholds[0], front.fires[0], front.mean_loops[0]), (0.0, 0.0, 9.0));
    assert!(front.mean_loops.windows(2).all(|pair| pair[0] >= pair[1]));
    assert_eq!(front.mean_loops.last(), Some(&1.0), "the last is above all of its numbers");
    let half = front.nearest(4.5);
    assert!((front.mean_loops[half] - 4.5).abs() < 1.0);
}

#[test]
fn each_example_is_left_out_once_and_the_query_is_never_seen() {
    let xs: Vec<f32> = (0..8).map(|x| x as f32).collect();
    let prompts = Prompts::pairs(xs, vec![10.0, 11.0, 12.0, 13.0], [1, 4, 2]);
    let asked = without_each(&prompts, 0..1);
    assert_eq!((asked.prompts, asked.points), (3, 3));
    assert_eq!(asked.ys, [11.0, 12.0, 10.0, 10.0, 12.0, 11.0, 10.0, 11.0, 12.0]);
    assert_eq!(asked.get(1).0, [0.0, 1.0, 4.0, 5.0, 2.0, 3.0]);
}

/// After loop l it predicts y (1 - 2^-l), and its state is that factor everywhere.
struct Halving;

struct Along {
    state: Tensor,
    done: i32,
}

impl Loops for Along {
    fn next_state(&mut self) -> Result<Tensor> {
        self.done += 1;
        Ok((self.state.ones_like()? * (1.0 - 0.5f64.powi(self.done)))?)
    }

    fn go_on_from(&mut self, _: &Tensor, done: usize) -> Result<()> {
        self.done = done as i32;
        Ok(())
    }
}

impl Stateful for Halving {
    fn width(&self) -> usize {
        3
    }

    fn looping(&self, prompts: &Prompts, _: usize) -> Result<Looping<'_>> {
        Ok(Looping::new(Along { state: prompts.tokens(3, 0, &Device::Cpu)?, done: 0 }))
    }
}

impl Predictor for Halving {
    fn predict(&self, prompts: &Prompts, loops: usize) -> Result<Predictions> {
        let factor = |index: usize| 1.0 - 0.5f32.powi(index as i32 + 1);
        let values = (0..loops).flat_map(|index| prompts.ys.iter().map(move |y| y * factor(index))).collect();
        Ok(Predictions { values, width: 1, loops, prompts: prompts.prompts, points: prompts.points })
    }
}

fn plan(loops: usize) -> ExitPlan {
    let eval = EvalPlan { prompts: 16, resamples: 20, ..EvalPlan::new(6, 3, 3, loops, 2) };
    ExitPlan { eval, trained: loops, threshold: 0.1 }
}

#[test]
fn the_rules_look_at_what_they_say() {
    let found = exits(&Halving, &Device::Cpu, &LinearRegression {}, &plan(6), &()).unwrap();
    let names: Vec<&str> = found.rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["prediction", "state", "acceleration", "context"]);
    // |D_l| / |Z_l| = 2^-l / (1 - 2^-l): 1/3, 1/7, 1/15 after loops 2, 3, 4. It is below 0.1 first after loop 4.
    let state = &found.rules[1];
    assert_eq!((state.at_threshold.fires, state.at_threshold.mean_loops), (1.0, 4.0));
    assert!((state.fires_above.unwrap() - 1.0 / 31.0).abs() < 1e-6, "{:?}", state.fires_above);
    // |D_l - D_(l-1)| is as large as |D_l|: twice in a row after loop 5.
    assert_eq!(found.rules[2].at_threshold.mean_loops, 5.0);
    // The last loop is the best of all prompts, and a quarter of each error is left from loop to loop.
    assert_eq!(found.oracle_loops, 6.0);
    assert!(found.fixed.mean.windows(2).all(|pair| (pair[1] / pair[0] - 0.25).abs() < 1e-3));
    let [examples, dims] = &found.difficulties[..] else { panic!("{:?}", found.difficulties) };
    assert_eq!((&examples.values, &dims.values), (&vec![2, 3, 4, 5], &vec![1, 2, 3]));
    assert_eq!(examples.exits.len(), 4);
    let again: Exits = serde_json::from_str(&serde_json::to_string(&found).unwrap()).unwrap();
    assert_eq!(again, found);
}

#[test]
fn classes_have_the_part_that_is_wrong_and_what_leaves_nothing_to_decide_is_refused() {
    let found = exits(&Halving, &Device::Cpu, &LinearClassification {}, &plan(4), &()).unwrap();
    assert_eq!(
        (found.score.as_str(), found.fixed.mean[0], found.oracle_loops),
        ("part that is wrong", 0.0, 1.0)
    );
    let refused = |plan: ExitPlan| {
        exits(&Halving, &Device::Cpu, &LinearRegression {}, &plan, &()).unwrap_err().to_string()
    };
    assert!(refused(plan(1)).contains("1 loop leaves nothing to decide"));
    let parity: looped_tasks::Parity = serde_json::from_str("{}").unwrap();
    let message = exits(&Halving, &Device::Cpu, &parity, &plan(4), &()).unwrap_err().to_string();
    assert!(message.contains("`parity` has sequences of tokens"), "{message}");
}
