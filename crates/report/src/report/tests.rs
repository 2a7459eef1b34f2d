use super::*;
use crate::plot::{Band, Curve, Figure};
use crate::table::Column;
use roxmltree::{Document, Node, ParsingOptions};

fn report() -> Report {
    let mut figure = Figure::new("Error & <loops>", "loops", "squared error / d");
    figure.curves.push(Curve::model("a \"b\"", vec![1.0, 2.0], Band::line(vec![1.0, 0.5])));
    let mut table = Table::new([Column::left("variant"), Column::right("error")]);
    table.push(["last_20 | <all>", "0.0242"]);
    let parts = vec![
        Part::Paragraph("1. With n < d & \"w\",\nerror is *high*.".into()),
        Part::Plot {
            name: "error/by loops".into(),
            figure: figure.into(),
            caption: "Error <b>over</b> loops".into(),
        },
        Part::Table(table),
        Part::Code("name = \"<x>\"\n```\n[model]\n".into()),
    ];
    Report {
        title: "last_20 <script>alert(1)</script>".into(),
        sections: vec![
            Section { heading: "Results & tables".into(), parts },
            Section::new("b"),
            Section::new("c"),
        ],
    }
}

fn parsed(html: &str) -> Document<'_> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    Document::parse_with_options(html, options).unwrap()
}

#[test]
fn html_is_well_formed_and_says_what_was_given() {
    let html = report().html();
    let document = parsed(&html);
    let text = |tag: &str| {
        let found = document
            .descendants()
            .filter(|node| node.has_tag_name(tag))
            .map(|node| node.text().unwrap_or(""));
        found.collect::<Vec<_>>()
    };
    assert_eq!(text("h1"), ["last_20 <script>alert(1)</script>"]);
    assert_eq!(text("h2"), ["Results & tables", "b", "c"]);
    assert_eq!(text("p"), ["1. With n < d & \"w\",\nerror is *high*."]);
    assert_eq!(text("figcaption"), ["Error <b>over</b> loops"]);
    let data = "curve,loops,squared error / d,low,high\n\"a \"\"b\"\"\",1,1,,\n\"a \"\"b\"\"\",2,0.5,,\n";
    assert_eq!(text("code"), [data, "name = \"<x>\"\n```\n[model]\n"]);
    assert_eq!(text("td"), ["last_20 | <all>", "0.0242"]);
    assert_eq!(text("script").len(), 1, "the page's own");
    assert!(text("script")[0].contains("curvesOf"));
}

/// Without the script: everything but the other scale is in the page, and nothing of it is hidden.
#[test]
fn a_figure_is_whole_without_the_script() {
    let html = report().html();
    let document = parsed(&html);
    let figure = document.descendants().find(|node| node.has_tag_name("figure")).unwrap();
    assert_eq!(figure.attribute("data-name"), Some("error_by_loops"));
    let drawn = figure.children().filter(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "svg")));
    assert_eq!(drawn.count(), 1);
    let template = figure.children().find(|node| node.has_tag_name("template")).unwrap();
    let scale = |node: Node<'_, '_>| {
        node.descendants()
            .find_map(|node| node.attribute("data-y"))
            .unwrap()
            .split(' ')
            .next()
            .unwrap()
            .to_owned()
    };
    let scales = (scale(figure), scale(template));
    assert_eq!(scales, ("linear".to_owned(), "log".to_owned()));
    assert!(!html.contains("hidden=\""), "{html}");
}

#[test]
fn figures_in_a_row_stand_side_by_side() {
    let mut report = report();
    assert!(!report.html().contains("class=\"plots\""));
    let plot = report.sections[0].parts[1].clone();
    report.sections[0].parts.insert(1, plot);
    assert_eq!(report.html().matches("<div class=\"plots\">").count(), 1);
}

#[test]
fn html_asks_for_no_other_file() {
    let html = report().html();
    let document = parsed(&html);
    for attribute in document.descendants().flat_map(|node| node.attributes()) {
        let outside = ["src", "href", "srcset", "data"].contains(&attribute.name())
            && !attribute.value().starts_with('#');
        assert!(!outside, "{attribute:?}");
    }
    assert!(!html.contains("url(") && !html.contains("@import"));
}

#[test]
fn links_of_the_contents_lead_somewhere() {
    let html = report().html();
    let document = parsed(&html);
    let links = document.descendants().filter_map(|node| node.attribute("href"));
    let links: Vec<&str> = links.collect();
    assert_eq!(links.len(), 3);
    for link in links {
        assert!(document.descendants().any(|node| node.attribute("id") == Some(&link[1..])), "{link}");
    }
}

#[test]
fn markdown_is_as_expected() {
    let expected = r#"# last\_20 \<script\>alert(1)\</script\>

## Results \& tables

1\. With n \< d \& "w", error is \*high\*.

![squared error / d over loops](plots/error_by_loops.png)

*Error \<b\>over\</b\> loops*

| variant | error |
| --- | ---: |
| last\_20 \| \<all\> | 0.0242 |

````
name = "<x>"
```
[model]
````

## b

## c
"#;
    assert_eq!(report().markdown(), expected);
}

#[test]
fn everything_is_written_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("deep/report");
    report().write(&out).unwrap();
    let names = |folder: &Path| {
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(&out), ["plots", "report.html", "report.md"]);
    assert_eq!(names(&out.join("plots")), ["error_by_loops.png", "error_by_loops.svg"]);
    assert_eq!(std::fs::read_to_string(out.join("report.html")).unwrap(), report().html());
}

#[test]
fn a_name_cannot_leave_the_folder() {
    assert_eq!(file_stem("../../etc/passwd"), ".._.._etc_passwd");
    assert_eq!(file_stem(".."), "figure");
    assert_eq!(file_stem(""), "figure");
}

#[test]
fn an_unwritable_folder_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = report().write(&file).unwrap_err().to_string();
    assert!(error.contains("file"), "{error}");
}
