//! The figure on the front page of the documentation.

const FIGURE: &str = include_str!("../src/data_flow.svg");

/// The most room that a letter takes in the widest of the usual fonts, DejaVu Sans Bold, in em.
fn width(letter: char) -> f64 {
    match letter {
        ' ' | '(' | ')' | ',' | '.' | ':' | 'i' | 'j' | 'l' => 0.4,
        'f' | 'r' | 't' => 0.5,
        'm' | 'w' => 1.05,
        letter if letter.is_uppercase() => 0.85,
        _ => 0.72,
    }
}

/// The value of an attribute of the element that `text` begins with.
fn attribute(text: &str, name: &str) -> f64 {
    let (_, rest) = text.split_once(&format!(" {name}=\"")).expect(name);
    rest.split('"').next().and_then(|value| value.parse().ok()).expect(name)
}

#[test]
fn no_word_of_the_front_page_figure_is_cut() {
    let (_, rest) = FIGURE.split_once("viewBox=\"").expect("a view box");
    let numbers: Vec<f64> =
        rest.split('"').next().into_iter().flat_map(|s| s.split(' ')).flat_map(str::parse).collect();
    let [left, top, wide, high] = numbers[..] else { panic!("{numbers:?}") };
    let size = attribute(FIGURE, "font-size");
    assert!(FIGURE.contains("text-anchor=\"middle\""), "texts are centred");
    let texts: Vec<&str> = FIGURE.split("<text").skip(1).collect();
    assert!(texts.len() > 10);
    for text in texts {
        let words = text.split_once('>').and_then(|(_, rest)| rest.split_once("</text>")).expect("words").0;
        let (x, y) = (attribute(text, "x"), attribute(text, "y"));
        let half = size * words.chars().map(width).sum::<f64>() / 2.0;
        assert!(x - half >= left && x + half <= left + wide, "{words:?} is wider than the figure");
        assert!(y - size >= top && y + size / 3.0 <= top + high, "{words:?} is above or below the figure");
    }
}
