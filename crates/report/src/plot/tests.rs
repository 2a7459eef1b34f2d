use super::*;
use roxmltree::Document;
use tiny_skia::Pixmap;

fn small() -> Figure {
    let x = || vec![0.0, 1.0, 2.0, 3.0];
    let band = Band {
        mean: vec![1.0, 0.2, f64::NAN, 0.004],
        low: vec![0.9, 0.15, f64::NAN, 0.003],
        high: vec![1.1, 0.25, f64::NAN, 0.005],
    };
    let mut figure = Figure::new("d = 2 & \"small\" <loop>", "in-context examples", "squared error / d");
    figure.y_scale = Scale::Log;
    figure.curves = vec![
        Curve::model("looped", x(), band),
        Curve::baseline("least squares", x(), Band::line(vec![1.0, 0.5, 0.0, -1e-9])),
    ];
    figure.markers = vec![Marker { x: 2.0, label: "d".into() }];
    figure.reference = Some(Reference { y: 1.0, label: "zero".into() });
    figure
}

/// `LOOPED_BLESS=1 cargo test -p looped-report` writes the file anew; look at it before it is committed.
#[test]
fn the_small_figure_is_drawn_as_ever() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/small.svg");
    let svg = small().svg();
    if std::env::var_os("LOOPED_BLESS").is_some() {
        std::fs::write(path, &svg).unwrap();
    }
    assert_eq!(svg, std::fs::read_to_string(path).unwrap());
}

#[test]
fn the_same_figure_gives_the_same_bytes() {
    assert_eq!(small().svg(), small().svg());
    assert_eq!(small().png(1.0).unwrap(), small().png(1.0).unwrap());
}

#[test]
fn text_is_escaped_and_comes_back() {
    let svg = small().svg();
    let document = Document::parse(&svg).unwrap();
    let title = document.root_element().first_element_child().unwrap();
    assert_eq!((title.tag_name().name(), title.text()), ("title", Some("d = 2 & \"small\" <loop>")));
}

#[test]
fn a_png_has_the_size_of_the_figure_times_the_scale() {
    let figure = small();
    for scale in [1.0, 3.0] {
        let pixels = Pixmap::decode_png(&figure.png(scale).unwrap()).unwrap();
        assert_eq!((pixels.width(), pixels.height()), ((336.0 * scale) as u32, (232.0 * scale) as u32));
    }
}

/// How many pixels of an area are nearly black.
fn dark_pixels(figure: &Figure, across: std::ops::Range<u32>, down: std::ops::Range<u32>) -> usize {
    let pixels = Pixmap::decode_png(&figure.png(2.0).unwrap()).unwrap();
    let places = down.flat_map(|y| across.clone().map(move |x| (x, y)));
    places.filter(|&(x, y)| pixels.pixel(x, y).is_some_and(|p| p.red() < 100)).count()
}

#[test]
fn text_is_painted_where_it_stands() {
    let dark = dark_pixels(&small(), 200..500, 10..30);
    assert!(dark > 50, "the title has {dark} dark pixels");
    let dark = dark_pixels(&small(), 16..30, 100..300);
    assert!(dark > 50, "the turned label has {dark} dark pixels");
}

#[test]
fn names_in_letters_the_font_lacks_can_be_told_apart() {
    let png = |title: &str| Figure::new(title, "x", "y").png(2.0).unwrap();
    assert_ne!(png("東京"), png("大阪"), "each letter is a box with its number");
    assert!(dark_pixels(&Figure::new("東京", "", ""), 200..500, 10..30) > 50);
}

#[test]
fn a_size_beyond_memory_is_an_error() {
    let mut figure = small();
    figure.title = "huge".into();
    let error = figure.png(f32::INFINITY).unwrap_err().to_string();
    assert!(error.starts_with("cannot draw the figure `huge` as PNG"), "{error}");
}

#[test]
fn values_as_good_as_zero_lie_on_the_edge_and_the_tick_says_so() {
    let svg = small().svg();
    assert!(svg.contains(">≤ 10<tspan"), "{svg}");
    let mut positive = small();
    positive.curves.pop();
    assert!(!positive.svg().contains('≤'));
}

#[test]
fn a_gap_leaves_two_pieces() {
    let mut figure = small();
    figure.curves.truncate(1);
    figure.curves[0].x.extend([4.0, 5.0]);
    figure.curves[0].band.mean.extend([0.1, 0.2]);
    let svg = figure.svg();
    let line = svg.lines().find(|line| line.contains("stroke=\"#0072b2\"")).unwrap();
    assert_eq!(line.matches('M').count(), 2, "{line}");
}

#[test]
fn a_crowded_figure_grows_to_hold_its_legend() {
    let mut figure = small();
    figure.y_scale = Scale::Linear;
    for i in 0..9 {
        let level = f64::from(i);
        figure.curves.push(Curve::baseline(
            format!("baseline {i}"),
            vec![0.0, 3.0],
            Band::line(vec![level; 2]),
        ));
    }
    let pixels = Pixmap::decode_png(&figure.png(1.0).unwrap()).unwrap();
    assert!(pixels.height() > 232, "{}", pixels.height());
}

#[test]
fn a_peak_above_the_ceiling_lies_on_the_edge_and_the_tick_says_so() {
    let mut figure = small();
    figure.markers.clear();
    figure.curves[1].band.mean = vec![1.0, 0.5, 1000.0, 0.1];
    let svg = figure.cap_outliers().svg();
    assert!(svg.contains(">≥ 5</text>"), "{svg}");
    let document = Document::parse(&svg).unwrap();
    let frame = document.descendants().find_map(|node| node.attribute("data-frame")).unwrap();
    let top = frame.split(' ').nth(1).unwrap();
    let on_edge = document.descendants().any(|node| node.attribute("cy") == Some(top));
    assert!(on_edge, "a point at {top}: {svg}");
    assert!(!small().svg().contains('≥'));
}

#[test]
fn the_label_of_the_last_tick_keeps_off_the_edge_of_the_page() {
    let mut figure = Figure::new("", "training steps", "loss");
    let x: Vec<f64> = (0..=30).map(|i| f64::from(i) * 100.0).collect();
    figure.curves = vec![Curve::model("m", x.clone(), Band::line(x))];
    let svg = figure.svg();
    let document = Document::parse(&svg).unwrap();
    let last = document.descendants().find(|node| node.text() == Some("3000")).unwrap();
    let number = |name| last.attribute(name).unwrap().parse::<f64>().unwrap();
    let end = number("x") + number("textLength") / 2.0;
    assert!(end <= 336.0 - 4.9, "{end}");
}

#[test]
fn more_than_six_models_have_several_panels_with_one_pair_of_axes() {
    let mut figure = Figure::new("Many", "loops", "error");
    for i in 0..14 {
        let level = f64::from(i + 1);
        figure.curves.push(Curve::model(format!("n = {i}"), vec![0.0, 3.0], Band::line(vec![level; 2])));
    }
    figure.curves.push(Curve::baseline("least squares", vec![0.0, 3.0], Band::line(vec![0.5; 2])));
    let svg = figure.svg();
    let document = Document::parse(&svg).unwrap();
    let panels: Vec<_> = document.descendants().filter(|n| n.attribute("class") == Some("panel")).collect();
    assert_eq!(panels.len(), 3);
    for panel in &panels {
        let titles = panel.descendants().filter(|n| n.has_tag_name("title")).filter_map(|n| n.text());
        let names: Vec<&str> = titles.collect();
        assert!(names.len() <= 7 && names[0] == "least squares", "{names:?}");
        assert_eq!(panel.attribute("data-y"), panels[0].attribute("data-y"));
    }
    let pixels = Pixmap::decode_png(&figure.png(1.0).unwrap()).unwrap();
    assert_eq!(pixels.width(), 2 * 336);
}

#[test]
fn ordered_models_have_colours_of_one_ramp_and_named_panels_their_titles() {
    let model = |panel: &str, name: &str| Curve {
        panel: panel.into(),
        ..Curve::model(name, vec![0.0, 1.0], Band::line(vec![1.0, 0.5]))
    };
    let mut figure = Figure::new("", "loops", "error");
    figure.palette = Palette::Ordered;
    figure.curves = vec![model("d = 5", "n = 1"), model("d = 5", "n = 2"), model("d = 10", "n = 1")];
    let svg = figure.svg();
    assert!(svg.contains(">d = 5</text>") && svg.contains(">d = 10</text>"));
    assert_eq!(svg.matches("stroke=\"#d97706\"").count(), 4, "the first of each panel, in legend and frame");
}

#[test]
fn seeds_are_thin_lines_of_their_means_colour() {
    let mut figure = small();
    figure.curves.truncate(1);
    figure.curves[0].seeds = vec![Seed { name: "seed 1".into(), values: vec![1.0, 0.3, 0.2, 0.1] }];
    let svg = figure.svg();
    let seed =
        svg.lines().find(|line| line.contains("stroke-width=\"0.7\" stroke-opacity=\"0.55\"")).unwrap();
    assert!(seed.contains("stroke=\"#0072b2\""), "{seed}");
}

#[test]
fn bars_of_several_curves_stand_side_by_side() {
    let band = || Band { mean: vec![1.0], low: vec![0.8], high: vec![1.2] };
    let mut figure = Figure::new("", "n", "error");
    figure.intervals = Intervals::Bars;
    figure.curves = ["a", "b"].map(|name| Curve::model(name, vec![5.0], band())).to_vec();
    let svg = figure.svg();
    let document = Document::parse(&svg).unwrap();
    let curves: Vec<_> = document.descendants().filter(|n| n.attribute("class") == Some("curve")).collect();
    let dot = |curve: &roxmltree::Node<'_, '_>| {
        let dot = curve.descendants().find(|n| n.has_tag_name("circle")).unwrap();
        dot.attribute("cx").unwrap().parse::<f64>().unwrap()
    };
    assert!((dot(&curves[1]) - dot(&curves[0]) - 5.0).abs() < 0.02);
    assert!(!svg.contains("class=\"shade\""));
    assert_eq!(curves[0].descendants().filter(|n| n.has_tag_name("path")).count(), 1, "{svg}");
}

#[test]
fn errors_over_decades_ask_for_a_logarithmic_axis() {
    let scale = |mean: &[f64]| Scale::for_errors(&[Curve::model("m", vec![], Band::line(mean.to_vec()))]);
    assert_eq!(scale(&[1.0, 0.001]), Scale::Log);
    assert_eq!(scale(&[1.0, 0.5, 0.0]), Scale::Linear);
    assert_eq!(scale(&[0.8, 0.9]), Scale::Linear);
    assert_eq!(scale(&[-1.0, 100.0, 0.1]), Scale::Linear);
    assert_eq!(scale(&[]), Scale::Linear);
}

proptest::proptest! {
    /// Whatever the numbers and names, the SVG is one that parses and draws.
    #[test]
    fn any_figure_can_be_drawn(
        name in ".*",
        mean in proptest::collection::vec(proptest::num::f64::ANY, 0..20),
        x in proptest::collection::vec(proptest::num::f64::ANY, 0..20),
        logarithmic in proptest::bool::ANY,
    ) {
        let mut figure = Figure::new(name.clone(), name.clone(), name.clone());
        if logarithmic {
            (figure.x_scale, figure.y_scale) = (Scale::Log, Scale::Log);
        }
        figure.markers = vec![Marker { x: x.first().copied().unwrap_or(1.0), label: name.clone() }];
        figure.reference = mean.first().map(|&y| Reference { y, label: name.clone() });
        let band = Band { low: mean.clone(), high: mean.clone(), mean };
        figure.curves = vec![Curve::model(name, x, band)];
        let svg = figure.svg();
        proptest::prop_assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        proptest::prop_assert!(Document::parse(&svg).is_ok(), "{svg}");
        proptest::prop_assert!(figure.png(0.5).is_ok());
    }
}
