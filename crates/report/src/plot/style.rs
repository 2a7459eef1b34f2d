//! Colours, dashes and sizes.

use super::panels::{DISTINCT, Place};
use super::{Curve, Palette, Role};
use std::fmt;

/// The ink of a figure that stands alone; a page around it may choose another.
pub(super) const INK: &str = "#1a1a1a";

/// A colour of print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    /// That of the text, whatever it is.
    Ink,
    /// Red, green and blue.
    Rgb(u8, u8, u8),
}

impl Colour {
    pub(super) const WHITE: Self = Self::Rgb(0xff, 0xff, 0xff);
    const BLACK: Self = Self::Rgb(0x1a, 0x1a, 0x1a);

    const fn hex(rgb: u32) -> Self {
        Self::Rgb((rgb >> 16) as u8, (rgb >> 8) as u8, rgb as u8)
    }

    /// What it is on white paper.
    pub(super) fn on_white(self) -> [u8; 3] {
        match self {
            Self::Ink => Self::BLACK.on_white(),
            Self::Rgb(r, g, b) => [r, g, b],
        }
    }

    /// Black or white, whichever is easier to read on it.
    pub(super) fn contrast(self) -> Self {
        let linear = |channel: u8| (f64::from(channel) / 255.0).powf(2.2);
        let [r, g, b] = self.on_white().map(linear);
        if 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.28 { Self::BLACK } else { Self::WHITE }
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ink => f.write_str("currentColor"),
            Self::Rgb(r, g, b) => write!(f, "#{r:02x}{g:02x}{b:02x}"),
        }
    }
}

/// The colours of Okabe and Ito, told apart by every kind of colour vision, most distinct first. Their yellow, too
/// faint on white, is left out, and so is their black, which is the ink's.
const PALETTE: [Colour; DISTINCT] = [
    Colour::hex(0x0072b2),
    Colour::hex(0xd55e00),
    Colour::hex(0x009e73),
    Colour::hex(0xcc79a7),
    Colour::hex(0xe69f00),
    Colour::hex(0x56b4e9),
];

/// From the first of an order to the last, ever further from the paper: on white, and of the same hues on black.
const RAMP: [u32; 4] = [0xd97706, 0xc2366b, 0x7b2d9b, 0x23206f];
const RAMP_ON_BLACK: [u32; 4] = [0xa85a00, 0xd6568a, 0xb98ae0, 0xc3ccff];
/// The colours that an order takes are among this many steps of a ramp.
const STEPS: usize = 25;

/// From the lowest to the highest value of a heat map, one hue that every kind of colour vision sees grow darker.
const HEAT: [u32; 4] = [0xf1f5fb, 0xa9c8e8, 0x4a86c5, 0x123a70];

/// The colour at `share` of the way through a ramp.
fn between(ramp: &[u32; 4], share: f64) -> Colour {
    let place = share.clamp(0.0, 1.0) * 3.0;
    let first = (place.floor() as usize).min(2);
    let [from, to] = [ramp[first], ramp[first + 1]].map(Colour::hex).map(Colour::on_white);
    let mix = |i: usize| {
        let (from, to) = (f64::from(from[i]), f64::from(to[i]));
        (from + (to - from) * (place - first as f64)).round() as u8
    };
    Colour::Rgb(mix(0), mix(1), mix(2))
}

/// The colour of a heat map's cell at `share` of the way from the lowest to the highest value.
pub(super) fn heat(share: f64) -> Colour {
    between(&HEAT, share)
}

/// Rules of CSS that make the ordered colours of `page` stand out on black too.
pub(crate) fn rules_on_black(page: &str) -> String {
    let step = |i: usize| i as f64 / (STEPS - 1) as f64;
    let mut rules = String::new();
    for i in 0..STEPS {
        let (white, black) = (between(&RAMP, step(i)), between(&RAMP_ON_BLACK, step(i)));
        for property in ["stroke", "fill"] {
            if page.contains(&format!(" {property}=\"{white}\"")) {
                rules.push_str(&format!("  [{property}=\"{white}\"] {{ {property}: {black}; }}\n"));
            }
        }
    }
    rules
}

/// Sizes of text.
pub(super) const TITLE: f64 = 10.5;
pub(super) const LABEL: f64 = 10.0;
pub(super) const SMALL: f64 = 9.0;

/// How a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stroke {
    pub(super) colour: Colour,
    pub(super) width: f64,
    /// Lengths of lines and gaps in turn; empty for a solid line.
    pub(super) dash: &'static [f64],
    pub(super) opacity: f64,
}

impl Stroke {
    /// A thin line of ink.
    pub(super) const fn ink(width: f64) -> Self {
        Self { colour: Colour::Ink, width, dash: &[], opacity: 1.0 }
    }

    /// The stroke of a seed beside its mean's.
    pub(super) fn of_a_seed(self) -> Self {
        Self { width: 0.7, opacity: 0.55, ..self }
    }
}

/// Faint lines behind the data.
pub(super) const GRID: Stroke = Stroke { opacity: 0.13, ..Stroke::ink(0.6) };
/// Around a legend.
pub(super) const BORDER: Stroke = Stroke { opacity: 0.2, ..Stroke::ink(0.6) };
/// The width of a model's curve, and of one with more points than the frame has room for.
const SOLID: f64 = 1.9;
pub(super) const CROWDED: f64 = 0.8;
/// The bar of an interval.
pub(super) const BAR: f64 = 1.0;
/// Vertical lines that mark a place.
pub(super) const MARKER: Stroke = Stroke { opacity: 0.65, dash: &[3.0, 2.0], ..Stroke::ink(0.8) };
/// The horizontal line of reference.
pub(super) const REFERENCE: Stroke = Stroke { opacity: 0.65, dash: &[1.0, 2.0], ..Stroke::ink(1.0) };

/// Baselines are grey and dashed. One that is known by the first word of its name has the same dash in every figure.
const BASELINES: [(&str, &[f64]); 8] = [
    ("least", &[5.0, 2.0]),
    ("averaging", &[1.5, 1.5]),
    ("knn", &[6.0, 1.8, 1.3, 1.8]),
    ("ridge", &[2.8, 1.4]),
    ("lasso", &[9.0, 2.0]),
    ("tree", &[4.0, 1.5, 1.3, 1.5, 1.3, 1.5]),
    ("boosting", &[9.0, 1.8, 1.3, 1.8]),
    ("net", &[1.0, 2.6]),
];

/// The greys of baselines: the second for a dash that is taken already.
const GREYS: [f64; 2] = [0.62, 0.38];

/// The strokes of curves, given the places of the models among their like.
pub(super) fn strokes(curves: &[Curve], palette: Palette, places: &[Place]) -> Vec<Stroke> {
    let mut taken = Vec::new();
    let stroke = |(curve, place): (&Curve, &Place)| match (curve.role, palette) {
        (Role::Baseline, _) => baseline(&curve.name, &mut taken),
        (Role::Model, Palette::Distinct) => model(PALETTE[place.in_panel % DISTINCT]),
        (Role::Model, Palette::Ordered) => {
            let (before, of) = place.in_order;
            let step = (STEPS - 1) * before / of.saturating_sub(1).max(1);
            model(between(&RAMP, step as f64 / (STEPS - 1) as f64))
        }
    };
    curves.iter().zip(places).map(stroke).collect()
}

fn model(colour: Colour) -> Stroke {
    Stroke { colour, width: SOLID, dash: &[], opacity: 1.0 }
}

/// The style known for this name, or else the first that no baseline of the figure has taken.
fn baseline(name: &str, taken: &mut Vec<usize>) -> Stroke {
    let word = name.split([' ', '_']).next().unwrap_or_default();
    let known = BASELINES.iter().position(|(first, _)| *first == word);
    let all = BASELINES.len() * GREYS.len();
    // From the end for one that is not known, so that it rarely takes what is another's.
    let free = known.into_iter().chain((0..all).rev()).find(|style| !taken.contains(style));
    let style = free.unwrap_or(taken.len() % all);
    taken.push(style);
    let (dash, opacity) = (BASELINES[style % BASELINES.len()].1, GREYS[style / BASELINES.len()]);
    Stroke { dash, opacity, ..Stroke::ink(1.2) }
}

#[cfg(test)]
mod tests {
    use super::super::Band;
    use super::*;

    fn of(curves: &[Curve], palette: Palette) -> Vec<Stroke> {
        let place = |i| Place { in_panel: i, in_order: (i, curves.len()) };
        strokes(curves, palette, &(0..curves.len()).map(place).collect::<Vec<_>>())
    }

    fn baselines(names: &[&str]) -> Vec<Curve> {
        names.iter().map(|name| Curve::baseline(*name, vec![], Band::default())).collect()
    }

    fn all_differ(strokes: &[Stroke]) -> bool {
        strokes.iter().enumerate().all(|(i, stroke)| !strokes[..i].contains(stroke))
    }

    #[test]
    fn the_models_of_a_panel_differ_and_so_do_many_ordered_ones_and_baselines() {
        let models = |count| vec![Curve::model("m", vec![], Band::default()); count];
        assert!(all_differ(&of(&models(DISTINCT), Palette::Distinct)));
        assert!(all_differ(&of(&models(STEPS), Palette::Ordered)));
        assert!(all_differ(&of(&baselines(&["lasso 1"; 16]), Palette::Distinct)));
    }

    #[test]
    fn a_baseline_is_drawn_the_same_whatever_stands_beside_it() {
        let alone = of(&baselines(&["knn 3"]), Palette::Distinct);
        let among = of(&baselines(&["lasso 0.1", "averaging", "unheard of", "knn 3"]), Palette::Ordered);
        assert_eq!(alone[0], among[3]);
        assert_eq!(alone[0].colour, Colour::Ink);
    }

    #[test]
    fn every_ordered_colour_can_be_seen_on_white_and_on_black() {
        let light = |colour: Colour| {
            let linear = |c: u8| (f64::from(c) / 255.0).powf(2.2);
            let [r, g, b] = colour.on_white().map(linear);
            0.2126 * r + 0.7152 * g + 0.0722 * b
        };
        for i in 0..=24 {
            let share = f64::from(i) / 24.0;
            let (on_white, on_black) = (light(between(&RAMP, share)), light(between(&RAMP_ON_BLACK, share)));
            // The contrast that WCAG asks of graphics is 3; the dark page's luminance is 0.01.
            assert!(1.05 / (on_white + 0.05) >= 3.0, "{share}: {on_white}");
            assert!((on_black + 0.05) / 0.06 >= 3.0, "{share}: {on_black}");
        }
    }

    #[test]
    fn a_page_recolours_what_it_shows_and_nothing_else() {
        let first = between(&RAMP, 0.0);
        let rules = rules_on_black(&format!("<path stroke=\"{first}\"/>"));
        assert_eq!(
            rules,
            format!("  [stroke=\"{first}\"] {{ stroke: {}; }}\n", between(&RAMP_ON_BLACK, 0.0))
        );
    }

    #[test]
    fn a_number_in_a_cell_can_be_read() {
        assert_eq!(heat(0.0).contrast(), Colour::BLACK);
        assert_eq!(heat(1.0).contrast(), Colour::WHITE);
    }
}
