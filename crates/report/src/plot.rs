//! Line figures of the size of a paper's column: curves with shaded intervals over linear or logarithmic axes.
//!
//! A [`Figure`] is plain data. [`Figure::svg`] draws it, the same bytes for the same figure; [`Figure::png`] turns
//! that SVG into pixels with the font the crate carries, Liberation Sans, whose letters are as wide as those of Arial
//! and Helvetica, so both look alike and neither needs a font of the system.
//!
//! What is left out, and what is clipped:
//! - A point whose x, mean or interval is NaN or infinite (or as good as: over 1e100) interrupts its line or
//!   shade there.
//! - On a logarithmic axis nothing can stand at zero or below. An x there is left out. A y at or below
//!   [`Figure::floor`] is drawn on the lower edge of the frame, whose tick then reads `≤`.
//! - A y above [`Figure::ceiling`] runs out of the frame.

mod axis;
mod canvas;
mod draw;
mod font;
mod frame;
mod layout;
mod legend;
mod png;
mod style;
mod ticks;
mod trace;

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
    /// What the figure is about: thick and solid.
    Model,
    /// What it is held against: thin and dashed.
    Baseline,
}

/// A named line with its interval.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Its entry in the legend.
    pub name: String,
    /// Thick and solid, or thin and dashed.
    pub role: Role,
    /// Where its points stand. If `x` and the mean differ in length, the shorter counts.
    pub x: Vec<f64>,
    /// Their values.
    pub band: Band,
}

impl Curve {
    /// A curve the figure is about.
    pub fn model(name: impl Into<String>, x: Vec<f64>, band: Band) -> Self {
        Self { name: name.into(), role: Role::Model, x, band }
    }

    /// A curve to compare with.
    pub fn baseline(name: impl Into<String>, x: Vec<f64>, band: Band) -> Self {
        Self { name: name.into(), role: Role::Baseline, x, band }
    }
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

/// A figure with one frame. Make one with [`Figure::new`], then fill in its fields.
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
    /// Vertical lines.
    pub markers: Vec<Marker>,
    /// A horizontal line.
    pub reference: Option<Reference>,
    /// On a logarithmic y axis, values at or below this count as zero.
    pub floor: f64,
    /// The y axis ends here at the latest, so that one diverging curve does not flatten the others.
    pub ceiling: Option<f64>,
    /// Width and height. A legend that finds no room inside the frame is put below it and adds to the height.
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
