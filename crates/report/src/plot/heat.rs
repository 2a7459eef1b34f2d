//! A table of numbers with their size as colour.

use super::draw::HALF_DIGIT;
use super::frame::{Point, Rect};
use super::layout::{EDGE, LEADING, NEAR};
use super::scene::{Anchor, Scene, Shape, Tag, text};
use super::style::{Colour, LABEL, SMALL, TITLE, heat};
use super::ticks::Label;
use super::{Band, COLUMN, LOG_FLOOR, font, outliers, png, svg};
use crate::Error;
use crate::number::{short, with_interval};

/// A value for each pair of two things, as the error for each pair of two settings. Darker is greater.
///
/// With more than 14 columns the cells are small and without numbers, some of the names are left out, and the heading has the range of the values.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatMap {
    /// Above the cells; nothing where empty.
    pub title: String,
    /// What the columns are.
    pub x_label: String,
    /// What the rows are.
    pub y_label: String,
    /// What the values are.
    pub value_label: String,
    /// A name for each column.
    pub columns: Vec<String>,
    /// A name for each row.
    pub rows: Vec<String>,
    /// For each row a value for each column. What is missing or NaN is shown as a dash.
    pub values: Vec<Band>,
}

/// The size of the interval in a cell.
const TINY: f64 = 6.5;
/// The widest name of a row.
const NAME: f64 = 150.0;
/// Limits of a column's width.
const NARROW: f64 = 42.0;
const WIDE: f64 = 92.0;
/// Around a number in its cell, on both sides together.
const AROUND: f64 = 10.0;
/// Between cells.
const GAP: f64 = 1.0;

/// More columns than this have no room for numbers.
const MANY: usize = 14;
/// The least width of a cell without a number, and the height of all such cells together.
const SMALL_CELL: f64 = 8.0;
const TALL: f64 = 480.0;

/// Where the cells are.
struct Grid {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

impl HeatMap {
    /// The map as an SVG document, the same bytes for the same map.
    #[must_use]
    pub fn svg(&self) -> String {
        svg::document(&self.scene())
    }

    /// The map as the bytes of a PNG file, `scale` pixels to a unit.
    pub fn png(&self, scale: f32) -> Result<Vec<u8>, Error> {
        let failed = |reason| Error::Render { title: self.title.clone(), reason };
        png::file(&self.scene(), scale).map_err(failed)
    }

    /// Mean, low and high of a cell; NaN where there is none.
    pub(super) fn cell(&self, row: usize, column: usize) -> [f64; 3] {
        let at = |values: &Vec<f64>| values.get(column).copied().unwrap_or(f64::NAN);
        self.values.get(row).map_or([f64::NAN; 3], |Band { mean, low, high }| [at(mean), at(low), at(high)])
    }

    fn cells(&self) -> impl Iterator<Item = (usize, usize, [f64; 3])> {
        let places =
            (0..self.rows.len()).flat_map(|row| (0..self.columns.len()).map(move |column| (row, column)));
        places.map(|(row, column)| (row, column, self.cell(row, column)))
    }

    fn scene(&self) -> Scene {
        let (grid, heading) = self.grid();
        let mut shapes = heading;
        let share = shares(self.cells().map(|(_, _, [mean, ..])| mean).collect());
        for (row, column, cell) in self.cells() {
            shapes.push(self.draw_cell(&grid, row, column, cell, share(cell[0])));
        }
        let bottom = self.names(&grid, &mut shapes);
        let right = grid.left + grid.width * self.columns.len().max(1) as f64;
        Scene { size: (right + EDGE, bottom + EDGE), title: self.title.clone(), shapes }
    }

    /// Where the cells go, and the lines above them.
    fn grid(&self) -> (Grid, Vec<Shape>) {
        let names = self.rows.iter().map(|name| font::width(name, SMALL)).fold(0.0, f64::max).min(NAME);
        let left = EDGE + LEADING * LABEL + NEAR + names + 2.0 * NEAR;
        let texts = self.cells().map(|(_, _, cell)| {
            let interval = interval(cell).map_or(0.0, |interval| font::width(&interval, TINY));
            font::width(&short(cell[0]), SMALL).max(interval)
        });
        let words = self.columns.iter().flat_map(|name| name.split_whitespace());
        let widest = texts.chain(words.map(|word| font::width(word, SMALL))).fold(0.0, f64::max) + AROUND;
        let even = (COLUMN.0 - left - EDGE) / self.columns.len().max(1) as f64;
        let intervals = self.cells().any(|(_, _, cell)| interval(cell).is_some());
        let (width, height) = if self.is_dense() {
            (even.max(SMALL_CELL), (TALL / self.rows.len().max(1) as f64).clamp(4.0, 14.0))
        } else {
            (even.clamp(widest.clamp(NARROW, WIDE), WIDE), if intervals { 28.0 } else { 20.0 })
        };

        let whole = left + width * self.columns.len().max(1) as f64;
        let mut shapes = Vec::new();
        let mut top = EDGE;
        for line in font::wrap(&self.title, TITLE, whole - EDGE) {
            shapes.push(text((whole / 2.0, top + 0.85 * TITLE), &line, TITLE, Anchor::Middle));
            top += LEADING * TITLE;
        }
        for line in font::wrap(&self.heading(), SMALL, whole - EDGE) {
            shapes.push(text((whole / 2.0, top + 0.85 * SMALL), &line, SMALL, Anchor::Middle));
            top += LEADING * SMALL;
        }
        (Grid { left, top: top + NEAR, width, height }, shapes)
    }

    fn is_dense(&self) -> bool {
        self.columns.len() > MANY
    }

    /// What the values are, and which of them are dark.
    fn heading(&self) -> String {
        let values = || self.cells().map(|(_, _, [mean, ..])| mean).filter(|mean| mean.is_finite());
        if !self.is_dense() || values().next().is_none() {
            return format!("{} (darker is greater)", self.value_label);
        }
        let (least, most) =
            values().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
        format!("{}, from {} (light) to {} (dark)", self.value_label, short(least), short(most))
    }

    fn draw_cell(&self, grid: &Grid, row: usize, column: usize, cell: [f64; 3], share: Option<f64>) -> Shape {
        let rect = Rect {
            left: grid.left + grid.width * column as f64 + GAP / 2.0,
            top: grid.top + grid.height * row as f64 + GAP / 2.0,
            width: grid.width - GAP,
            height: grid.height - GAP,
        };
        let colour = share.map(heat);
        let ink = colour.map_or(Colour::Ink, Colour::contrast);
        let mut shapes: Vec<Shape> = colour.map(|colour| Shape::Tile { rect, colour }).into_iter().collect();
        let (x, middle) = (rect.left + rect.width / 2.0, rect.top + rect.height / 2.0);
        let write = |at: Point, words: &str, size| Shape::Text {
            at,
            label: Label::words(words),
            size,
            anchor: Anchor::Middle,
            turned: false,
            colour: ink,
        };
        match interval(cell) {
            _ if self.is_dense() => {}
            None => shapes.push(write((x, middle + HALF_DIGIT * SMALL), &short(cell[0]), SMALL)),
            Some(interval) => {
                shapes.push(write((x, middle - 0.5), &short(cell[0]), SMALL));
                shapes.push(write((x, middle + 1.3 * TINY), &interval, TINY));
            }
        }
        let [mean, low, high] = cell;
        let title =
            format!("{}, {}: {}", self.rows[row], self.columns[column], with_interval(mean, low, high));
        Shape::Group { tag: Tag { title, ..Tag::default() }, shapes }
    }

    /// Names of rows, columns and both together; returns where they end.
    fn names(&self, grid: &Grid, shapes: &mut Vec<Shape>) -> f64 {
        let middle = |row: f64| grid.top + grid.height * row;
        let dense = self.is_dense();
        // Where cells are small, as many names as have room.
        let every = |room: f64, cell: f64| if dense { (room / cell).ceil().max(1.0) as usize } else { 1 };
        for (i, name) in self.rows.iter().enumerate().step_by(every(SMALL, grid.height)) {
            let at = (grid.left - 2.0 * NEAR, middle(i as f64 + 0.5) + HALF_DIGIT * SMALL);
            shapes.push(text(at, &font::shorten(name, SMALL, NAME), SMALL, Anchor::End));
        }
        let cells_end = middle(self.rows.len() as f64);
        let widest = self.columns.iter().map(|name| font::width(name, SMALL)).fold(0.0, f64::max);
        let room = if dense { widest + NEAR } else { grid.width - 2.0 };
        let wrapped: Vec<Vec<String>> =
            self.columns.iter().map(|name| font::wrap(name, SMALL, room)).collect();
        for (i, lines) in wrapped.iter().enumerate().step_by(every(widest + NEAR, grid.width)) {
            let x = grid.left + grid.width * (i as f64 + 0.5);
            for (line, words) in lines.iter().enumerate() {
                let y = cells_end + NEAR + SMALL * (0.85 + LEADING * line as f64);
                shapes.push(text((x, y), &font::shorten(words, SMALL, room), SMALL, Anchor::Middle));
            }
        }
        let names_end =
            cells_end + NEAR + LEADING * SMALL * wrapped.iter().map(Vec::len).max().unwrap_or(0) as f64;
        let centre = grid.left + grid.width * self.columns.len() as f64 / 2.0;
        shapes.push(text((centre, names_end + LABEL), &self.x_label, LABEL, Anchor::Middle));
        shapes.push(Shape::Text {
            at: (EDGE + 0.8 * LABEL, middle(self.rows.len() as f64 / 2.0)),
            label: Label::words(&self.y_label),
            size: LABEL,
            anchor: Anchor::Middle,
            turned: true,
            colour: Colour::Ink,
        });
        names_end + LEADING * LABEL
    }
}

fn interval([_, low, high]: [f64; 3]) -> Option<String> {
    (!low.is_nan() && !high.is_nan()).then(|| format!("[{}, {}]", short(low), short(high)))
}

/// How dark a value is among `values`, from 0 to 1: by their logarithms where they span more than a factor of 30, and
/// with what is far above the rest as dark as the darkest.
fn shares(values: Vec<f64>) -> impl Fn(f64) -> Option<f64> {
    let finite = || values.iter().copied().filter(|v| v.is_finite());
    let ceiling = outliers::ceiling(values.clone(), finite()).unwrap_or(f64::INFINITY);
    let most = finite().filter(|v| *v <= ceiling).fold(f64::NEG_INFINITY, f64::max);
    let least = finite().fold(f64::INFINITY, f64::min);
    let logarithmic = least >= 0.0 && most > 30.0 * least.max(LOG_FLOOR);
    let place = move |v: f64| if logarithmic { v.max(LOG_FLOOR).ln() } else { v };
    let (low, high) = (place(least), place(most));
    move |value| {
        let share = (place(value) - low) / (high - low);
        if value.is_infinite() {
            Some(1.0)
        } else if value.is_nan() {
            None
        } else {
            Some(if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map() -> HeatMap {
        let band = |mean: &[f64]| Band::line(mean.to_vec());
        HeatMap {
            title: "last & \"n\"".into(),
            x_label: "loops".into(),
            y_label: "n".into(),
            value_label: "squared error / 20".into(),
            columns: ["5", "10", "20"].map(String::from).to_vec(),
            rows: ["15", "75"].map(String::from).to_vec(),
            values: vec![band(&[0.5, 0.02, 0.004]), band(&[0.4, f64::NAN])],
        }
    }

    #[test]
    fn every_number_stands_in_its_cell_and_what_is_missing_is_a_dash() {
        let svg = map().svg();
        for number in ["0.500", "0.0200", "0.00400", "0.400"] {
            assert!(svg.contains(&format!(">{number}</text>")), "{number}\n{svg}");
        }
        assert_eq!(svg.matches(">–</text>").count(), 2);
        assert_eq!(svg.matches("<rect ").count(), 1 + 4, "the paper, and a tile for each number");
        assert!(svg.contains("<title>75, 5: 0.400</title>"));
    }

    #[test]
    fn a_greater_value_is_darker_and_an_outlier_does_not_pale_the_rest() {
        let share = shares(vec![0.01, 0.1, 1.0]);
        assert_eq!([0.01, 0.1, 1.0].map(|v| (share(v).unwrap() * 100.0).round()), [0.0, 50.0, 100.0]);
        let share = shares(vec![0.01, 0.02, 0.04, 1000.0]);
        assert!(share(0.02).unwrap() > 0.1, "{:?}", share(0.02));
        assert_eq!((share(1000.0), share(f64::INFINITY), share(f64::NAN)), (Some(1.0), Some(1.0), None));
        assert_eq!(shares(vec![0.5])(0.5), Some(0.0));
    }

    #[test]
    fn an_interval_stands_below_its_number() {
        let mut map = map();
        map.values[0] = Band { mean: vec![0.5], low: vec![0.4], high: vec![0.6] };
        assert!(map.svg().contains(">[0.400, 0.600]</text>"));
    }

    #[test]
    fn many_columns_are_colours_without_numbers_and_the_heading_has_their_range() {
        let names = |count: usize| (1..=count).map(|i| i.to_string()).collect::<Vec<_>>();
        let row = |i: usize| Band::line((0..26).map(|j| (i * 26 + j) as f64 / 1000.0).collect());
        let map =
            HeatMap { columns: names(26), rows: names(80), values: (0..80).map(row).collect(), ..map() };
        let svg = map.svg();
        assert_eq!(svg.matches("<rect ").count(), 1 + 26 * 80);
        assert!(svg.contains("from 0 (light) to 2.08 (dark)") && !svg.contains(">0.500</text>"));
        assert!(svg.contains("<title>80, 26: 2.08</title>"), "on hover each cell has its number");
        assert!(map.scene().size.1 < 600.0 && svg.matches("</text>").count() < 80);
    }

    #[test]
    fn a_map_of_nothing_is_drawn_too() {
        let nothing = HeatMap { columns: vec![], rows: vec![], values: vec![], ..map() };
        assert!(nothing.svg().starts_with("<svg") && nothing.png(1.0).is_ok());
    }
}
