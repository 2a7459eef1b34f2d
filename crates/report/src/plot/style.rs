//! Colours, dashes and sizes.

use super::Role;

/// The colours of Okabe and Ito, told apart by every kind of colour vision, most distinct first. Their yellow, too
/// faint on white, is left out; their black is the ink of the page, white on a dark one.
const PALETTE: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", INK];

/// The dashes of baselines, so that they differ in print without colour too.
const DASHES: [&str; 4] = ["5 2", "1.5 1.5", "6 1.8 1.3 1.8", "2.8 1.4"];

/// The dash of models once the palette is used up: short enough to show on both sides of the dot in a legend.
const SECOND_ROUND: &str = "4 2";

/// Whatever colour the text has.
pub(super) const INK: &str = "currentColor";

/// Sizes of text.
pub(super) const TITLE: f64 = 10.5;
pub(super) const LABEL: f64 = 10.0;
pub(super) const SMALL: f64 = 9.0;

/// How a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stroke {
    pub(super) colour: &'static str,
    pub(super) width: f64,
    pub(super) dash: Option<&'static str>,
    pub(super) opacity: f64,
}

impl Stroke {
    /// A thin line of ink.
    pub(super) const fn ink(width: f64) -> Self {
        Self { colour: INK, width, dash: None, opacity: 1.0 }
    }
}

/// Faint lines behind the data.
pub(super) const GRID: Stroke = Stroke { opacity: 0.13, ..Stroke::ink(0.6) };
/// Around a legend.
pub(super) const BORDER: Stroke = Stroke { opacity: 0.2, ..Stroke::ink(0.6) };
/// The width of a curve with more points than the frame has room for.
pub(super) const CROWDED: f64 = 0.8;
/// Vertical lines that mark a place.
pub(super) const MARKER: Stroke = Stroke { opacity: 0.65, dash: Some("3 2"), ..Stroke::ink(0.8) };
/// The horizontal line of reference.
pub(super) const REFERENCE: Stroke = Stroke { opacity: 0.65, dash: Some("1 2"), ..Stroke::ink(1.0) };

/// The strokes of curves in the order of the figure, given their roles.
pub(super) fn strokes(roles: impl Iterator<Item = Role>) -> Vec<Stroke> {
    let mut baselines = 0;
    let stroke = |(i, role)| {
        let colour = PALETTE[i % PALETTE.len()];
        let (width, dash) = match role {
            Role::Model => (1.9, (i >= PALETTE.len()).then_some(SECOND_ROUND)),
            Role::Baseline => {
                baselines += 1;
                (1.2, Some(DASHES[(baselines - 1) % DASHES.len()]))
            }
        };
        Stroke { colour, width, dash, opacity: 1.0 }
    };
    roles.enumerate().map(stroke).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fourteen_models_and_twenty_baselines_differ() {
        for (role, count) in [(Role::Model, 14), (Role::Baseline, 20)] {
            let strokes = strokes(std::iter::repeat_n(role, count));
            for (i, a) in strokes.iter().enumerate() {
                assert!(!strokes[..i].contains(a), "{role:?} {i}");
            }
        }
    }
}
