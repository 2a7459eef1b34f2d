//! A figure as a scene: its one panel, or its panels side by side.

use super::layout::{EDGE, LEADING, Layout, axes};
use super::panels::{panels, places};
use super::scene::{Anchor, Scene, Shape, text};
use super::style::{TITLE, strokes};
use super::{Figure, font, png, svg};
use crate::Error;

/// Between the titles of the figure and of its panels.
const BELOW_TITLE: f64 = 4.0;

impl Figure {
    /// The figure as an SVG document, the same bytes for the same figure. Its text asks for a font family of one
    /// width; its ink and paper can be recoloured by a page around it (`color`, and the class `paper`).
    ///
    /// A script finds its parts by their classes: `panel` says where its frame is (left, top, width, height) and what
    /// its axes show (scale, low, high); `curve`, `shade` and `entry` say the number of their curve.
    #[must_use]
    pub fn svg(&self) -> String {
        svg::document(&self.scene())
    }

    /// The figure as the bytes of a PNG file, `scale` pixels to a unit of [`Figure::size`]: at 3 a [`super::COLUMN`]
    /// has 288 dots an inch. A letter that the carried font lacks is a box with its number.
    pub fn png(&self, scale: f32) -> Result<Vec<u8>, Error> {
        let failed = |reason| Error::Render { title: self.title.clone(), reason };
        png::file(&self.scene(), scale).map_err(failed)
    }

    fn scene(&self) -> Scene {
        let panels = panels(&self.curves);
        let strokes = strokes(&self.curves, self.palette, &places(&self.curves, &panels));
        let axes = axes(self);
        let title = |panel: &str| {
            if panels.len() == 1 && panel.is_empty() { self.title.clone() } else { panel.to_owned() }
        };
        let laid_out: Vec<Layout<'_>> = panels
            .iter()
            .map(|panel| Layout::new(self, panel, &title(&panel.title), axes, &strokes))
            .collect();
        if let [only] = &laid_out[..]
            && panels[0].title.is_empty()
        {
            let size = (self.size.0, only.height);
            return Scene { size, title: self.title.clone(), shapes: vec![only.shapes()] };
        }
        side_by_side(self, &laid_out)
    }
}

/// Two panels in a row, below the figure's title.
fn side_by_side(figure: &Figure, panels: &[Layout<'_>]) -> Scene {
    let (width, columns) = (figure.size.0, panels.len().min(2));
    let whole = width * columns as f64;
    let mut shapes = Vec::new();
    let mut top = 0.0;
    for line in font::wrap(&figure.title, TITLE, whole - 2.0 * EDGE) {
        shapes.push(text((whole / 2.0, top + EDGE + 0.85 * TITLE), &line, TITLE, Anchor::Middle));
        top += LEADING * TITLE;
    }
    if top > 0.0 {
        top += BELOW_TITLE;
    }
    for row in panels.chunks(columns) {
        for (column, panel) in row.iter().enumerate() {
            shapes.push(Shape::Moved { by: (column as f64 * width, top), shapes: vec![panel.shapes()] });
        }
        top += row.iter().map(|panel| panel.height).fold(0.0, f64::max);
    }
    Scene { size: (whole, top), title: figure.title.clone(), shapes }
}
