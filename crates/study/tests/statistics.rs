//! Paired statistics, held against scipy and statsmodels (`scripts/statistics/make_fixtures.py`) and against simulation.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use looped_core::Rng;
use looped_study::statistics::{
    Contrast, Interval, Pairing, Run, Scale, Spread, TwoWay, Verdict, contrasts, holm, judge, level, power,
    seeds_to_show,
};
use serde_json::Value;
use statrs::distribution::{ContinuousCDF, StudentsT};

fn fixtures() -> Value {
    serde_json::from_str(include_str!("fixtures/statistics.json")).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

#[track_caller]
fn close(found: f64, expected: f64, what: &str) {
    assert!(
        (found - expected).abs() <= 1e-7 * (1.0 + expected.abs()),
        "{what}: {found}, expected {expected}"
    );
}

/// Runs as the fixtures have them: one error each, or one for each resample too.
fn runs(value: &Value) -> Vec<Run> {
    let run = |run: &Value| Run {
        variant: run["variant"].as_u64().unwrap() as usize,
        seed: run["seed"].as_u64().unwrap(),
        errors: run.get("errors").map_or_else(|| vec![number(&run["error"])], numbers),
    };
    value.as_array().unwrap().iter().map(run).collect()
}

fn run(variant: usize, seed: u64, error: f64) -> Run {
    Run { variant, seed, errors: vec![error] }
}

fn p_of(contrast: &Contrast) -> f64 {
    judge(&[contrast], 1.1)[0].p
}

#[test]
fn the_library_quantiles_of_students_t_are_scipys() {
    for row in fixtures()["quantiles"].as_array().unwrap() {
        let student = StudentsT::new(0.0, 1.0, number(&row["freedom"])).unwrap();
        close(student.inverse_cdf(number(&row["level"])), number(&row["value"]), &row.to_string());
    }
}

#[test]
fn holms_correction_is_statsmodels_and_leaves_out_what_is_not_a_number() {
    let holms = &fixtures()["holm"];
    let (p, corrected) = (numbers(&holms["p"]), numbers(&holms["corrected"]));
    holm(&p).into_iter().zip(&corrected).for_each(|(found, &expected)| close(found, expected, "holm"));
    let gap = [&p[..2], &[f64::NAN], &p[2..]].concat();
    let found = holm(&gap);
    assert!(found[2].is_nan());
    close(found[3], corrected[2], "after a gap");
}

#[test]
fn a_sweep_of_nine_variants_has_the_intervals_and_p_of_statsmodels_ols() {
    for name in ["sweep", "sweep_with_holes"] {
        let expected = &fixtures()[name];
        let found = contrasts(&runs(&expected["runs"]), 9, 0);
        assert!(found[0].is_none(), "the first isn't compared with itself");
        let found: Vec<&Contrast> = found.iter().flatten().collect();
        let judged = judge(&found, 1.1);
        for ((contrast, judged), row) in
            found.iter().zip(judged).zip(expected["contrasts"].as_array().unwrap())
        {
            let what = format!("{name}, variant {}", row["variant"]);
            assert_eq!(contrast.pairing, Pairing::Pooled);
            let part = contrast.log_ratio.as_ref().unwrap().whole();
            close(part.centre, number(&row["difference"]), &what);
            close(part.error, number(&row["error"]), &what);
            assert_eq!(part.dof, number(&expected["freedom"]), "{what}");
            let ratio = contrast.ratio();
            close(ratio.low.ln(), number(&row["low"]), &what);
            close(ratio.high.ln(), number(&row["high"]), &what);
            close(judged.p, number(&row["p"]), &what);
            close(judged.p_holm, number(&row["p_holm"]), &what);
        }
    }
}

#[test]
fn two_variants_have_scipys_paired_interval_and_without_a_common_seed_welchs() {
    let expected = &fixtures()["pair"];
    let mut pair = runs(&expected["runs"]);
    let check = |pair: &[Run], pairing, expected: &Value| {
        let found = contrasts(pair, 2, 0).pop().unwrap().unwrap();
        assert_eq!(found.pairing, pairing);
        close(found.ratio().low.ln(), number(&expected["low"]), "low");
        close(found.ratio().high.ln(), number(&expected["high"]), "high");
        close(p_of(&found), number(&expected["p"]), "p");
    };
    check(&pair, Pairing::Paired, &expected["paired"]);
    pair.iter_mut().filter(|run| run.variant == 1).for_each(|run| run.seed += 10);
    check(&pair, Pairing::Unpaired, &expected["welch"]);
}

#[test]
fn with_resampled_prompts_the_interval_is_that_of_the_mixture() {
    let expected = &fixtures()["mixture"];
    let found = contrasts(&runs(&expected["runs"]), 2, 0).pop().unwrap().unwrap();
    let Interval { estimate, low, high } = found.ratio();
    close(estimate.ln(), number(&expected["estimate"]), "estimate");
    close(low.ln(), number(&expected["low"]), "low");
    close(high.ln(), number(&expected["high"]), "high");
    close(found.log_ratio.as_ref().unwrap().below(0.0), number(&expected["below_0"]), "tail");
    assert_eq!(found.of_seeds.len(), 4);
}

#[test]
fn the_seeds_that_would_show_a_ratio_are_those_of_the_noncentral_t_or_one_beside() {
    for row in fixtures()["power"].as_array().unwrap() {
        let spread = Spread {
            of_runs: number(&row["sd"]).powi(2),
            of_prompts: 0.0,
            variants: row["variants"].as_u64().unwrap() as usize,
        };
        let found = seeds_to_show(number(&row["ratio"]), spread).unwrap();
        let expected = row["seeds"].as_u64().unwrap() as usize;
        assert!(found.abs_diff(expected) <= 1, "{row}: {found}");
    }
    let hopeless = Spread { of_runs: 0.01, of_prompts: 0.1, variants: 2 };
    assert_eq!(seeds_to_show(1.1, hopeless), None, "no number of seeds makes up for too few prompts");
}

#[test]
fn the_share_of_cases_that_show_a_ratio_is_that_of_scipys_noncentral_t() {
    // stats.nct.sf(t, dof, shift) + stats.nct.cdf(-t, dof, shift), with t = stats.t.ppf(0.975, dof),
    // dof = (variants - 1) * (seeds - 1) and shift = log(ratio) / sqrt(2 * 0.18**2 / seeds).
    for (ratio, variants, seeds, expected) in [
        (2.0, 2, 3, 0.678_786),
        (2.0, 2, 4, 0.936_678),
        (1.5, 2, 3, 0.344_488),
        (1.5, 9, 3, 0.735_807),
        (1.25, 2, 3, 0.150_981),
    ] {
        let spread = Spread { of_runs: 0.18f64.powi(2), of_prompts: 0.0, variants };
        let found = power(ratio, spread, seeds);
        assert!((found - expected).abs() < 1e-3, "{ratio}, {variants} variants, {seeds} seeds: {found}");
    }
}

#[test]
fn the_spread_is_read_off_the_runs() {
    // Of 40 seeds: each run's logarithm varies by 0.2 around its seed's.
    let mut rng = Rng::stream(1, "spread", 0);
    let mut of_seed = |seed: u64| {
        let common = 0.5 * rng.normal();
        [0, 1, 2].map(|variant| run(variant, seed, (common + 0.2 * rng.normal()).exp()))
    };
    let runs: Vec<Run> = (0..40).flat_map(&mut of_seed).collect();
    for variants in [2, 3] {
        let some: Vec<Run> = runs.iter().filter(|run| run.variant < variants).cloned().collect();
        let found = contrasts(&some, variants, 0);
        let spread = Spread::of(&found.iter().flatten().collect::<Vec<_>>(), variants).unwrap();
        // A standard deviation of 40 values has a standard error of 11 %.
        assert!((spread.of_runs.sqrt() / 0.2 - 1.0).abs() < 0.3, "{spread:?}");
    }
}

#[test]
fn verdicts_need_more_than_a_point_estimate() {
    let judged = |ratios: &[f64], margin: f64| {
        let pairs = ratios.iter().enumerate();
        let runs: Vec<Run> = pairs
            .flat_map(|(seed, &ratio)| [run(0, seed as u64, 0.5), run(1, seed as u64, 0.5 * ratio)])
            .collect();
        let contrast = contrasts(&runs, 2, 0).pop().unwrap().unwrap();
        judge(&[&contrast], margin)[0]
    };
    assert_eq!(judged(&[0.5, 0.52, 0.49], 1.1).verdict, Verdict::Better);
    assert_eq!(judged(&[2.0, 1.9, 2.1], 1.1).verdict, Verdict::Worse);
    assert_eq!(judged(&[1.01, 0.99, 1.0], 1.1).verdict, Verdict::Equal);
    assert_eq!(judged(&[1.01, 0.99, 1.0], 1.001).verdict, Verdict::Undecided);
    assert_eq!(judged(&[0.6, 1.5, 0.9], 1.1).verdict, Verdict::Undecided);
    // A difference that is there and doesn't matter.
    assert_eq!(judged(&[1.03, 1.031, 1.029], 1.1).verdict, Verdict::Equal);
    // One seed says nothing of others, however clear.
    let one = judged(&[0.1], 1.1);
    assert!(one.verdict == Verdict::Undecided && one.p.is_nan());
    assert_eq!(Verdict::Equal.words(1.1), "equal within 1.1");
}

#[test]
fn a_diverged_run_leaves_its_variant_undecided_and_the_others_as_they_are() {
    let expected = &fixtures()["sweep"];
    let mut all = runs(&expected["runs"]);
    let without: Vec<Run> = all.iter().filter(|run| run.variant != 8).cloned().collect();
    all.iter_mut().filter(|run| run.variant == 8 && run.seed == 1).for_each(|run| run.errors[0] = f64::NAN);
    let (found, expected) = (contrasts(&all, 9, 0), contrasts(&without, 8, 0));
    let last = found[8].as_ref().unwrap();
    assert!(last.log_ratio.is_none() && last.ratio().low.is_nan());
    assert!(last.of_seeds[0].1.is_finite() && last.of_seeds[1].1.is_nan(), "{:?}", last.of_seeds);
    for (found, expected) in found.iter().zip(&expected).skip(1) {
        assert_eq!(found.as_ref().unwrap().log_ratio, expected.as_ref().unwrap().log_ratio);
    }
    assert_eq!(judge(&[last], 1.1)[0].verdict, Verdict::Undecided);
}

#[test]
fn cells_that_no_seed_ties_together_have_no_two_way_model() {
    assert!(TwoWay::new(&[(0, 0), (1, 0), (0, 1), (1, 1)]).is_some());
    assert!(TwoWay::new(&[(0, 0), (1, 0), (2, 0)]).is_none(), "one seed leaves no residual");
    let apart = [(0, 0), (0, 1), (1, 2), (1, 3), (0, 0), (1, 2)];
    assert!(TwoWay::new(&apart).is_none());
}

#[test]
fn one_seed_has_the_interval_over_prompts() {
    let errors = |ratio: f64| [1.0, 0.9, 1.0, 1.1].map(|noise| ratio * noise).to_vec();
    let runs =
        [Run { variant: 0, seed: 1, errors: vec![2.0; 4] }, Run { variant: 1, seed: 1, errors: errors(3.0) }];
    let found = contrasts(&runs, 2, 0).pop().unwrap().unwrap();
    assert_eq!(found.pairing, Pairing::OneSeed);
    let ratio = found.ratio();
    close(ratio.estimate, 1.5, "estimate");
    assert!(ratio.low < 1.4 && ratio.high > 1.6 && ratio.low >= 1.35 && ratio.high <= 1.65, "{ratio:?}");
    // Two lone runs of different seeds are no better off.
    let mut apart = runs.clone();
    apart[1].seed = 2;
    assert_eq!(contrasts(&apart, 2, 0).pop().unwrap().unwrap().pairing, Pairing::OneSeed);
}

#[test]
fn a_level_is_geometric_for_errors_and_stays_between_0_and_1_for_accuracies() {
    let found = level(&[&[0.1], &[0.4]], Scale::Errors);
    close(found.estimate, 0.2, "geometric mean");
    assert!(found.low > 0.0);
    let found = level(&[&[0.95], &[1.0]], Scale::Accuracies);
    close(found.estimate, 0.975, "arithmetic mean");
    assert_eq!(found.high, 1.0);
    assert!(
        level(&[&[0.1], &[f64::INFINITY]], Scale::Errors).estimate.is_nan(),
        "a diverged seed is not hidden"
    );
}

/// Errors of runs on common prompts: lognormal over seeds, over prompts, and over what a variant makes of a prompt.
fn simulated(rng: &mut Rng, variants: usize, seeds: u64, prompts: usize) -> Vec<Run> {
    const RESAMPLES: usize = 100;
    let of_prompts = rng.normals(prompts);
    let draws: Vec<Vec<usize>> =
        (0..RESAMPLES).map(|_| (0..prompts).map(|_| rng.below(prompts)).collect()).collect();
    let mut runs = Vec::new();
    let of_seeds = rng.normals(seeds as usize);
    for variant in 0..variants {
        let own = rng.normals(prompts);
        for seed in 0..seeds {
            let run = 0.3 * f64::from(of_seeds[seed as usize]) + 0.2 * rng.normal();
            let scores: Vec<f64> = of_prompts
                .iter()
                .zip(&own)
                .map(|(&p, &o)| (run + f64::from(p) + 0.5 * f64::from(o) + 0.3 * rng.normal()).exp())
                .collect();
            let mean =
                |of: &mut dyn Iterator<Item = usize>| of.map(|i| scores[i]).sum::<f64>() / prompts as f64;
            let mut errors = vec![mean(&mut (0..prompts))];
            errors.extend(draws.iter().map(|draw| mean(&mut draw.iter().copied())));
            runs.push(Run { variant, seed, errors });
        }
    }
    runs
}

#[test]
fn nine_intervals_in_ten_hold_the_true_ratio_over_seeds_and_prompts() {
    // With 60 prompts the prompts matter as much as the seeds do: an interval over seeds alone would hold 70 % of them.
    const TRIALS: u64 = 300;
    for (variants, seeds, pairing) in [(2, 3, Pairing::Paired), (4, 4, Pairing::Pooled)] {
        let covered = (0..TRIALS)
            .filter(|&trial| {
                let mut rng = Rng::stream(trial, "coverage", variants as u64);
                let found =
                    contrasts(&simulated(&mut rng, variants, seeds, 60), variants, 0).pop().unwrap().unwrap();
                assert_eq!(found.pairing, pairing);
                let ratio = found.ratio();
                ratio.low <= 1.0 && 1.0 <= ratio.high
            })
            .count();
        // 270 expected, standard deviation 5; a little more, as the prompts' part of the seeds' spread counts twice.
        assert!((255..=296).contains(&covered), "{covered} of {TRIALS} with {variants} variants");
    }
}

#[test]
fn the_page_has_the_numbers_of_seeds_that_the_example_prints() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/statistics.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, table) = page.split_once("| spread of a run | variants | ratio 1.1 | 1.25 | 1.5 |\n").unwrap();
    let rows: Vec<&str> = table.lines().skip(1).take_while(|line| line.starts_with('|')).collect();
    assert_eq!(rows.len(), 8);
    for row in rows {
        let cells: Vec<f64> =
            row.split('|').filter_map(|cell| cell.trim().trim_end_matches(" %").parse().ok()).collect();
        let spread =
            Spread { of_runs: (cells[0] / 100.0).powi(2), of_prompts: 0.0, variants: cells[1] as usize };
        let seeds = [1.1, 1.25, 1.5].map(|ratio| seeds_to_show(ratio, spread).unwrap() as f64);
        assert_eq!(cells[2..], seeds, "{row}");
    }
    let spread = Spread { of_runs: 0.18f64.powi(2), of_prompts: 0.0, variants: 2 };
    let [two, half] = [2.0, 1.5].map(|ratio| (100.0 * power(ratio, spread, 3)).round());
    let sentence = format!("show a factor of two in {two} % of cases, and a factor of 1.5 in {half} %");
    assert!(page.contains(&sentence), "{sentence}");
}
