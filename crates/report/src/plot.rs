//! Figures of the size of a paper's column: curves with intervals over linear or logarithmic axes, and heat maps.
//!
//! A [`Figure`] is plain data. [`Figure::svg`] draws it, the same bytes for the same figure; [`Figure::png`] paints
//! the same shapes with the font the crate carries, Liberation Sans, whose letters are as wide as those of Arial
//! and Helvetica, so both look alike and neither needs a font of the system.
//!
//! Models are coloured, at most six in a panel; a figure of more has several panels, whose axes are the same. Baselines
//! are grey, and each is drawn the same in every figure.
//!
//! What is left out, and what is clipped:
//! - A point whose x, mean or interval is NaN or infinite (or as good as: over 1e100) interrupts its line or
//!   shade there.
//! - On a logarithmic axis nothing can stand at zero or below. An x there is left out. A y at or below
//!   [`Figure::floor`] is drawn on the lower edge of the frame, whose tick then reads `≤`.
//! - A y above [`Figure::ceiling`] is drawn on the upper edge, whose tick then reads `≥`.

mod axis;
mod csv;
mod draw;
mod drawing;
mod font;
mod frame;
mod heat;
mod layout;
mod legend;
mod outliers;
mod page;
mod panels;
mod png;
mod scene;
mod style;
mod svg;
mod ticks;
mod trace;

pub use drawing::Drawing;
pub use heat::HeatMap;
pub(crate) use style::rules_on_black;

/// A mean with its interval, point by point. Where `low` or `high` is shorter than `mean`, or NaN, there is no
/// interval.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Band {
    /// The line.
    pub mean: Vec<f64>,
    /// Lower end of the interval.
    pub low: Vec<f64>,
    /// Upper end of the interval.
    pub high: Vec<f64>,
}

impl Band {
    /// A mean without an interval.
    #[must_use]
    pub fn line(mean: Vec<f64>) -> Self {
        Self { mean, ..Self::default() }
    }
}

/// How prominently a curve is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// What the figure is about: thick, solid and coloured.
    Model,
    /// What it is held against: thin, dashed and grey.
    Baseline,
}

/// One of the curves that a mean is taken over.
#[derive(Clone, Debug, PartialEq)]
pub struct Seed {
    /// What tells it from the others, as `seed 3`.
    pub name: String,
    /// Its values, where the mean has its own.
    pub values: Vec<f64>,
}

/// A named line with its interval.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Its entry in the legend.
    pub name: String,
    /// Coloured or grey.
    pub role: Role,
    /// The panel that a model stands in, by its title; a baseline stands in every panel.
    pub panel: String,
    /// Where its points stand. If `x` and the mean differ in length, the shorter counts.
    pub x: Vec<f64>,
    /// Their values.
    pub band: Band,
    /// Thin lines beside the mean, for a few seeds, of which an interval would say little.
    pub seeds: Vec<Seed>,
}

impl Curve {
    /// A curve the figure is about.
    pub fn model(name: impl Into<String>, x: Vec<f64>, band: Band) -> Self {
        Self { name: name.into(), role: Role::Model, panel: String::new(), x, band, seeds: Vec::new() }
    }

    /// A curve to compare with.
    pub fn baseline(name: impl Into<String>, x: Vec<f64>, band: Band) -> Self {
        Self { role: Role::Baseline, ..Self::model(name, x, band) }
    }

    /// All values that its drawing reaches.
    fn heights(&self) -> impl Iterator<Item = f64> + Clone {
        let Band { mean, low, high } = &self.band;
        let seeds = self.seeds.iter().flat_map(|seed| &seed.values);
        mean.iter().chain(low).chain(high).chain(seeds).copied()
    }
}

/// How the models of a figure are coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Palette {
    /// Each as unlike the others as can be.
    #[default]
    Distinct,
    /// From the first to the last in one order, as for the values of a number.
    Ordered,
}

/// How intervals are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Intervals {
    /// As a shade along the curve.
    #[default]
    Shade,
    /// As a bar at each point, for curves of few points.
    Bars,
}

/// How an axis maps values to places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// Equal steps, equal distances.
    #[default]
    Linear,
    /// Equal factors, equal distances.
    Log,
}

impl Scale {
    /// Its name in a page.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Log => "log",
        }
    }

    /// The scale for values of a setting: logarithmic where all are positive and span more than a factor of 30.
    #[must_use]
    pub fn for_settings(values: &[f64]) -> Self {
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(0.0, f64::max);
        if least > 0.0 && most > 30.0 * least { Self::Log } else { Self::Linear }
    }

    /// The scale errors are best read on: logarithmic where the means above [`LOG_FLOOR`] span more than a factor
    /// of 30, or where a mean as good as zero stands beside others; linear otherwise, and where one is negative.
    pub fn for_errors(curves: &[Curve]) -> Self {
        let means = || curves.iter().flat_map(|curve| &curve.band.mean).copied().filter(|v| v.is_finite());
        let least = means().filter(|&v| v > LOG_FLOOR).fold(f64::INFINITY, f64::min);
        let most = means().fold(0.0, f64::max);
        if means().all(|v| v >= 0.0) && most > 30.0 * least { Self::Log } else { Self::Linear }
    }
}

/// A vertical line with a label above the frame, as for the number of loops a model was trained with.
#[derive(Clone, Debug, PartialEq)]
pub struct Marker {
    /// Where on the x axis.
    pub x: f64,
    /// What it says.
    pub label: String,
}

/// A horizontal line with an entry in the legend, as for the error of predicting zero.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// Where on the y axis.
    pub y: f64,
    /// What it says.
    pub label: String,
}

/// The default of [`Figure::floor`]: below the error of any model trained in single precision.
pub const LOG_FLOOR: f64 = 1e-6;

/// The width and height of a figure for one column: 3.5 inches, at 96 units an inch.
pub const COLUMN: (f64, f64) = (336.0, 232.0);

/// A figure of curves. Make one with [`Figure::new`], then fill in its fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Above the frame; nothing where empty.
    pub title: String,
    /// Below the x axis.
    pub x_label: String,
    /// Beside the y axis, turned.
    pub y_label: String,
    /// Scale of the x axis.
    pub x_scale: Scale,
    /// Scale of the y axis.
    pub y_scale: Scale,
    /// The curves, which take their colours in this order; models are drawn over baselines.
    pub curves: Vec<Curve>,
    /// How models are coloured.
    pub palette: Palette,
    /// How intervals are drawn.
    pub intervals: Intervals,
    /// Vertical lines.
    pub markers: Vec<Marker>,
    /// A horizontal line.
    pub reference: Option<Reference>,
    /// On a logarithmic y axis, values at or below this count as zero.
    pub floor: f64,
    /// The y axis ends here at the latest, so that one diverging curve does not flatten the others;
    /// [`Figure::cap_outliers`] finds a place for it.
    pub ceiling: Option<f64>,
    /// Width and height of a panel. A legend that finds no room inside the frame is put below it and adds to the height.
    pub size: (f64, f64),
}

impl Figure {
    /// An empty figure of [`COLUMN`] size with linear axes.
    pub fn new(title: impl Into<String>, x_label: impl Into<String>, y_label: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            x_label: x_label.into(),
            y_label: y_label.into(),
            x_scale: Scale::Linear,
            y_scale: Scale::Linear,
            curves: Vec::new(),
            palette: Palette::Distinct,
            intervals: Intervals::Shade,
            markers: Vec::new(),
            reference: None,
            floor: LOG_FLOOR,
            ceiling: None,
            size: COLUMN,
        }
    }
}

#[cfg(test)]
mod tests;
