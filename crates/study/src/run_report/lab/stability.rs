//! What becomes of a run's state, as a section of the report and as tables.

use looped_lab::Stability;
use looped_lab::stability::{Path, Spread, Spreads};
use looped_report::number::{short, with_interval};
use looped_report::plot::{Band, Curve, Figure, Marker, Palette, Scale};
use looped_report::report::{Part, Section};
use looped_report::table::{Column, Table};

use crate::figures::{by_loops, counted_from, model, on_its_scale, trained_loops};
use crate::run_report::plot;

pub(super) fn section(name: &str, found: &Stability) -> Section {
    let mut section = Section::new("What becomes of the state?");
    section.parts.push(Part::Paragraph(verdict(found)));
    let of_tokens =
        format!("over the tokens of {} prompts: mean, median and 95th percentile.", found.prompts);
    let quantities = [
        ("step", "step, relative to the state", &found.relative_step, "|Z_l - Z_(l-1)| / |Z_l|"),
        (
            "cosine",
            "cosine with the step before",
            &found.cosine,
            "The cosine of each step with the one before",
        ),
        (
            "acceleration",
            "change of the step, relative to the state",
            &found.acceleration,
            "|D_l - D_(l-1)| / |Z_l|, D_l being step l",
        ),
        (
            "distance",
            "distance to the last state, relative",
            &found.distance_to_last,
            "|Z_l - Z_L| / |Z_L|, L being the last loop",
        ),
    ];
    for (short, label, spreads, what) in quantities {
        let figure = over_loops(found, label, spreads);
        section.parts.push(plot(&format!("{name}_{short}"), figure, format!("{what}, {of_tokens}")));
    }
    if !found.paths.is_empty() {
        let caption = "The states of some prompts, all tokens together, along the first two principal components of each one's own path, from loop 1 \
                       to the last. A path's parts of its variance are in the legend.";
        section.parts.push(plot(&format!("{name}_paths"), paths(found), caption));
    }
    let thinking = &found.overthinking;
    let curve = model("model", 1, &thinking.per_loop, []);
    let mut markers = trained_loops([found.trained], found.loops);
    markers.push(Marker { x: thinking.best_loop as f64, label: format!("best: {}", thinking.best_loop) });
    let figure = Figure {
        curves: vec![curve],
        markers,
        ..Figure::new("", "loops", format!("{} at the last query", thinking.score))
    };
    let caption = format!(
        "Mean over {} prompts, 90 % CI shaded. The best loop was chosen on as many others.",
        thinking.prompts
    );
    section.parts.push(plot(&format!("{name}_score"), on_its_scale(by_loops(figure, found.loops)), caption));
    section
}

fn verdict(found: &Stability) -> String {
    let verdict = &found.verdict;
    let shares = [
        ("settles", verdict.shares.settles),
        ("drifts", verdict.shares.drifts),
        ("cycles", verdict.shares.cycles),
        ("diverges", verdict.shares.diverges),
    ];
    let shares: Vec<String> =
        shares.iter().map(|(word, share)| format!("{word} {:.0} %", 100.0 * share)).collect();
    let period = verdict.period.map_or(String::new(), |period| format!(" with period {period}"));
    format!(
        "The state {}{period}: {}. Of {} prompts over {} loops ({} trained): {}. The median last step is {} of the state.",
        verdict.verdict.word(),
        verdict.rule,
        found.prompts,
        found.loops,
        found.trained,
        shares.join(", "),
        value(verdict.last_step)
    )
}

/// The verdict, the states over the loops, and the numbers of the end.
pub(super) fn tables(found: &Stability) -> String {
    format!("{}\n\n{}\n{}", verdict(found), states(found), end(found))
}

fn states(found: &Stability) -> String {
    let mut table = Table::new([
        Column::right("loop"),
        Column::left("step / state"),
        Column::left("cosine of steps"),
        Column::left("acceleration"),
        Column::left("distance to the last"),
    ]);
    let mut shown: Vec<usize> =
        std::iter::successors(Some(1), |l| Some(l * 2)).take_while(|l| *l < found.loops).collect();
    shown.extend([found.trained, found.loops].iter().filter(|l| **l <= found.loops));
    shown.sort_unstable();
    shown.dedup();
    for l in shown {
        let quantities = [&found.relative_step, &found.cosine, &found.acceleration, &found.distance_to_last];
        let cells = quantities.map(|spreads| spread(spreads.after(l - 1)));
        table.push(std::iter::once(l.to_string()).chain(cells));
    }
    let still = if found.still > 0.0 {
        format!("; {:.0} % of the tokens never move and are left out", 100.0 * found.still)
    } else {
        String::new()
    };
    format!(
        "mean, median and 95th percentile over the tokens of {} prompts{still}\n\n{}",
        found.prompts,
        table.text()
    )
}

fn end(found: &Stability) -> String {
    let (jacobian, alignment, thinking) = (&found.jacobian, &found.alignment, &found.overthinking);
    let mut table = Table::new([Column::left("at the end"), Column::left("")]);
    let curve =
        |curve: &looped_eval::Curve, at: usize| with_interval(curve.mean[at], curve.low[at], curve.high[at]);
    let mut row = |name: String, value: String| table.push([name, value]);
    row("spectral radius of the loop's Jacobian".into(), spread(jacobian.spectral_radius));
    row("its change in the last round".into(), spread(jacobian.radius_change));
    row("Frobenius norm of the Jacobian".into(), spread(jacobian.frobenius));
    for (n, exponent) in jacobian.exponents.iter().enumerate() {
        row(format!("Lyapunov exponent {}", n + 1), spread(*exponent));
    }
    row("alignment from another prompt's state".into(), curve(&alignment.from_another, 0));
    row("alignment from noise".into(), curve(&alignment.from_noise, 0));
    row("control: cosine with another prompt".into(), curve(&alignment.of_others, 0));
    row(
        format!("{} after the best loop, {}", thinking.score, thinking.best_loop),
        curve(&thinking.scores, 0),
    );
    row(format!("after the trained loops, {}", found.trained.min(found.loops)), curve(&thinking.scores, 1));
    row(format!("after the last loop, {}", found.loops), curve(&thinking.scores, 2));
    let [ratio, low, high] = thinking.ratio.map(|value| value.unwrap_or(f64::NAN));
    row("the last divided by the best".into(), with_interval(ratio, low, high));
    format!(
        "Jacobian: mean, median and 95th percentile over {} prompts; exponents per loop, over the loops {} to {}; the rest with its 90 % CI over prompts\n\n{}",
        jacobian.prompts,
        jacobian.exponents_over[0] + 1,
        jacobian.exponents_over[1],
        table.text()
    )
}

fn value(value: Option<f64>) -> String {
    short(value.unwrap_or(f64::NAN))
}

fn spread(of: Spread) -> String {
    [of.mean, of.median, of.p95].map(value).join(", ")
}

fn over_loops(found: &Stability, label: &str, spreads: &Spreads) -> Figure {
    let curve = |name: &str, values: &[Option<f64>]| {
        let band = Band::line(values.iter().map(|value| value.unwrap_or(f64::NAN)).collect());
        Curve::model(name, counted_from(1, values.len()), band)
    };
    let curves = vec![
        curve("mean", &spreads.mean),
        curve("median", &spreads.median),
        curve("95th percentile", &spreads.p95),
    ];
    let markers = trained_loops([found.trained], found.loops);
    on_its_scale(Figure { curves, markers, ..by_loops(Figure::new("", "loops", label), found.loops) })
}

fn paths(found: &Stability) -> Figure {
    let curve = |path: &Path| {
        let [first, second, _] = &path.components;
        let [a, b, _] = path.shares.map(|share| 100.0 * share);
        let name = format!("prompt {}: {a:.0} % and {b:.0} %", path.prompt + 1);
        Curve::model(name, first.clone(), Band::line(second.clone()))
    };
    let curves = found.paths.iter().map(curve).collect();
    Figure {
        curves,
        palette: Palette::Distinct,
        y_scale: Scale::Linear,
        ..Figure::new("", "first component", "second component")
    }
}
