//! What a report shows as a picture, of whatever kind.

use super::{Curve, Figure, HeatMap, Scale};
use crate::Error;

/// A picture of numbers.
#[derive(Clone, Debug, PartialEq)]
pub enum Drawing {
    /// Curves over an axis.
    Curves(Box<Figure>),
    /// Values of pairs.
    Heat(HeatMap),
}

impl From<Figure> for Drawing {
    fn from(figure: Figure) -> Self {
        Self::Curves(Box::new(figure))
    }
}

impl From<HeatMap> for Drawing {
    fn from(map: HeatMap) -> Self {
        Self::Heat(map)
    }
}

impl Drawing {
    /// As an SVG document.
    #[must_use]
    pub fn svg(&self) -> String {
        match self {
            Self::Curves(figure) => figure.svg(),
            Self::Heat(map) => map.svg(),
        }
    }

    /// As the bytes of a PNG file, `scale` pixels to a unit.
    pub fn png(&self, scale: f32) -> Result<Vec<u8>, Error> {
        match self {
            Self::Curves(figure) => figure.png(scale),
            Self::Heat(map) => map.png(scale),
        }
    }

    /// Its numbers, a line for each.
    #[must_use]
    pub fn csv(&self) -> String {
        match self {
            Self::Curves(figure) => figure.csv(),
            Self::Heat(map) => map.csv(),
        }
    }

    /// What it shows, in a few words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Curves(figure) => format!("{} over {}", figure.y_label, figure.x_label),
            Self::Heat(map) => format!("{} by {} and {}", map.value_label, map.y_label, map.x_label),
        }
    }

    /// The same curves with the other scale of the y axis, where that shows them too.
    pub(crate) fn on_the_other_scale(&self) -> Option<Figure> {
        let Self::Curves(figure) = self else { return None };
        match figure.y_scale {
            Scale::Log => Some(Figure { y_scale: Scale::Linear, ..(**figure).clone() }),
            Scale::Linear => {
                let mut values = figure.curves.iter().flat_map(Curve::heights).filter(|v| v.is_finite());
                // Most of a curve of zeros, or one that falls below zero, would lie on the edge.
                let positive = values.clone().any(|v| v > figure.floor) && values.all(|v| v >= 0.0);
                positive.then(|| Figure { y_scale: Scale::Log, ..(**figure).clone() })
            }
        }
    }
}
