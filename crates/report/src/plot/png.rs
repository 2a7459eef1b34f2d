//! A scene as pixels.

use super::font::{self, Letter};
use super::frame::{Point, Rect};
use super::scene::{Anchor, POWER, Scene, Shape};
use super::style::{Colour, Stroke};
use super::ticks::Label;
use tiny_skia::{
    FillRule, LineJoin, Mask, Paint, Path, PathBuilder, Pixmap, Stroke as SkiaStroke, StrokeDash, Transform,
};
use ttf_parser::OutlineBuilder;

/// The scene as the bytes of a PNG file, `scale` pixels to a unit; the error says what is in the way.
pub(super) fn file(scene: &Scene, scale: f32) -> Result<Vec<u8>, String> {
    let [width, height] = [scene.size.0, scene.size.1].map(|side| (side as f32 * scale).round() as u32);
    let mut pixels =
        Pixmap::new(width, height).ok_or_else(|| format!("{width} x {height} pixels cannot be had"))?;
    pixels.fill(tiny_skia::Color::WHITE);
    let mut painter = Painter { pixels, at: Transform::from_scale(scale, scale), window: None };
    painter.shapes(&scene.shapes);
    painter.pixels.encode_png().map_err(|e| e.to_string())
}

struct Painter {
    pixels: Pixmap,
    /// From units of the scene to pixels.
    at: Transform,
    /// What is outside is cut off.
    window: Option<Mask>,
}

impl Painter {
    fn shapes(&mut self, shapes: &[Shape]) {
        for shape in shapes {
            self.shape(shape);
        }
    }

    fn shape(&mut self, shape: &Shape) {
        match shape {
            Shape::Paper { rect, opacity } => self.fill(rectangle(rect), Colour::WHITE, *opacity),
            Shape::Tile { rect, colour } => self.fill(rectangle(rect), *colour, 1.0),
            Shape::Lines { runs, stroke } => self.stroke(runs, *stroke),
            Shape::Area { outline, colour, opacity } => {
                let mut path = PathBuilder::new();
                polygon(&mut path, outline);
                path.close();
                self.fill(path.finish(), *colour, *opacity);
            }
            Shape::Dot { at, radius, colour, opacity } => {
                let circle = PathBuilder::from_circle(at.0 as f32, at.1 as f32, *radius as f32);
                self.fill(circle, *colour, *opacity);
            }
            Shape::Text { at, label, size, anchor, turned, colour } => {
                let outer = self.at;
                if *turned {
                    self.at = outer.pre_concat(Transform::from_rotate_at(-90.0, at.0 as f32, at.1 as f32));
                }
                self.text(*at, label, *size, *anchor, *colour);
                self.at = outer;
            }
            Shape::Group { shapes, .. } => self.shapes(shapes),
            Shape::Clip { rect, shapes } => {
                let outer = self.window.take();
                self.window = self.window_of(rect);
                self.shapes(shapes);
                self.window = outer;
            }
            Shape::Moved { by, shapes } => {
                let outer = self.at;
                self.at = outer.pre_translate(by.0 as f32, by.1 as f32);
                self.shapes(shapes);
                self.at = outer;
            }
        }
    }

    fn window_of(&self, rect: &Rect) -> Option<Mask> {
        let mut mask = Mask::new(self.pixels.width(), self.pixels.height())?;
        mask.fill_path(&rectangle(rect)?, FillRule::Winding, true, self.at);
        Some(mask)
    }

    fn fill(&mut self, path: Option<Path>, colour: Colour, opacity: f64) {
        if let Some(path) = path {
            let paint = paint(colour, opacity);
            self.pixels.fill_path(&path, &paint, FillRule::Winding, self.at, self.window.as_ref());
        }
    }

    fn stroke(&mut self, runs: &[Vec<Point>], stroke: Stroke) {
        let mut path = PathBuilder::new();
        runs.iter().for_each(|run| polygon(&mut path, run));
        let Some(path) = path.finish() else { return };
        let style = SkiaStroke {
            width: stroke.width as f32,
            line_join: LineJoin::Round,
            dash: StrokeDash::new(stroke.dash.iter().map(|&length| length as f32).collect(), 0.0),
            ..SkiaStroke::default()
        };
        let paint = paint(stroke.colour, stroke.opacity);
        self.pixels.stroke_path(&path, &paint, &style, self.at, self.window.as_ref());
    }

    fn text(&mut self, (x, y): Point, label: &Label, size: f64, anchor: Anchor, colour: Colour) {
        let (scale, raise) = POWER;
        let widths = [font::width(&label.text, size), font::width(&label.power, scale * size)];
        let start = x - match anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => (widths[0] + widths[1]) / 2.0,
            Anchor::End => widths[0] + widths[1],
        };
        self.letters((start, y), &label.text, size, colour);
        self.letters((start + widths[0], y - raise * size), &label.power, scale * size, colour);
    }

    /// Letters one after the other from the baseline's start.
    fn letters(&mut self, (x, y): Point, text: &str, size: f64, colour: Colour) {
        let scale = size / font::units_per_em();
        for (start, width, letter) in font::letters(text, size) {
            match letter {
                Letter::Glyph(glyph) => {
                    let mut pen = Pen { path: PathBuilder::new(), origin: (x + start, y), scale };
                    font::outline(glyph, &mut pen);
                    self.fill(pen.path.finish(), colour, 1.0);
                }
                Letter::Lacking(c) => {
                    self.code(c, Rect { left: x + start, top: y - size, width, height: size }, colour)
                }
            }
        }
    }

    /// A box with the number of a letter that the font lacks, so that two such names can be told apart.
    fn code(&mut self, letter: char, space: Rect, colour: Colour) {
        if space.width <= 0.0 {
            return;
        }
        let size = space.height;
        let (left, right) = (space.left + 0.05 * size, space.right() - 0.05 * size);
        let (top, bottom) = (space.top + 0.15 * size, space.bottom() + 0.15 * size);
        let border = vec![(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
        self.stroke(&[border], Stroke { colour, width: 0.05 * size, dash: &[], opacity: 1.0 });
        let code = format!("{:04X}", u32::from(letter));
        let (upper, lower) = code.split_at(code.len() / 2);
        for (digits, baseline) in [(upper, 0.56), (lower, 1.04)] {
            let small =
                (0.44 * size).min(0.44 * size * 0.9 * (right - left) / font::width(digits, 0.44 * size));
            let start = (left + right - font::width(digits, small)) / 2.0;
            self.letters((start, space.top + baseline * size), digits, small, colour);
        }
    }
}

/// Writes the outline of a glyph, whose units go upwards, into a path, whose units go downwards.
struct Pen {
    path: PathBuilder,
    origin: Point,
    scale: f64,
}

impl Pen {
    fn at(&self, x: f32, y: f32) -> (f32, f32) {
        let (left, baseline) = self.origin;
        ((left + f64::from(x) * self.scale) as f32, (baseline - f64::from(y) * self.scale) as f32)
    }
}

impl OutlineBuilder for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.at(x1, y1), self.at(x, y));
        self.path.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2), (x, y)) = (self.at(x1, y1), self.at(x2, y2), self.at(x, y));
        self.path.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}

fn paint(colour: Colour, opacity: f64) -> Paint<'static> {
    let [r, g, b] = colour.on_white();
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color_rgba8(r, g, b, (opacity * 255.0).round() as u8);
    paint
}

fn rectangle(rect: &Rect) -> Option<Path> {
    let [l, t, w, h] = [rect.left, rect.top, rect.width, rect.height].map(|side| side as f32);
    Some(PathBuilder::from_rect(tiny_skia::Rect::from_xywh(l, t, w, h)?))
}

fn polygon(path: &mut PathBuilder, points: &[Point]) {
    for (i, &(x, y)) in points.iter().enumerate() {
        let (x, y) = (x as f32, y as f32);
        if i == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
    }
}
