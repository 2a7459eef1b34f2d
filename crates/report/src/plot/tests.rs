use super::*;
use resvg::tiny_skia::Pixmap;
use resvg::usvg::{Node, Options, Tree};

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

/// `UPDATE_GOLDEN=1 cargo test -p looped-report` writes the file anew; look at it before it is committed.
#[test]
fn the_small_figure_is_drawn_as_ever() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/small.svg");
    let svg = small().svg();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
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
    let figure = small();
    let tree = Tree::from_str(&figure.svg(), &Options::default());
    assert!(tree.is_ok(), "{:?}", tree.err());
    assert!(figure.svg().contains("<title>d = 2 &amp; &quot;small&quot; &lt;loop&gt;</title>"));
}

#[test]
fn a_png_has_the_size_of_the_figure_times_the_scale() {
    let figure = small();
    for scale in [1.0, 3.0] {
        let pixels = Pixmap::decode_png(&figure.png(scale).unwrap()).unwrap();
        assert_eq!((pixels.width(), pixels.height()), ((336.0 * scale) as u32, (232.0 * scale) as u32));
    }
}

#[test]
fn every_text_is_drawn_in_the_carried_font() {
    let tree = font::parse(&small().svg()).unwrap();
    let texts = tree.root().children().iter().filter(|node| matches!(node, Node::Text(_)));
    for text in texts {
        let Node::Text(text) = text else { continue };
        assert!(text.bounding_box().width() > 0.0, "{:?}", text.chunks()[0].text());
    }
    // Ink where the title stands, which a missing font would leave white.
    let pixels = Pixmap::decode_png(&small().png(2.0).unwrap()).unwrap();
    let inked = (10..30).flat_map(|y| (200..500).map(move |x| (x, y)));
    let dark = inked.filter(|&(x, y)| pixels.pixel(x, y).is_some_and(|p| p.red() < 100)).count();
    assert!(dark > 50, "{dark} dark pixels");
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
        proptest::prop_assert!(figure.png(0.5).is_ok());
    }
}
