use super::*;
use crate::plot::{Band, Curve};
use crate::table::Column;
use resvg::usvg::roxmltree::{Document, ParsingOptions};

fn report() -> Report {
    let mut figure = Figure::new("Error & <loops>", "loops", "squared error / d");
    figure.curves.push(Curve::model("a \"b\"", vec![1.0, 2.0], Band::line(vec![1.0, 0.5])));
    let mut table = Table::new([Column::left("variant"), Column::right("error")]);
    table.push(["last_20 | <all>", "0.0242"]);
    let parts = vec![
        Part::Paragraph("1. With n < d & \"w\",\nerror is *high*.".into()),
        Part::Plot { name: "error/by loops".into(), figure, caption: "Error <b>over</b> loops".into() },
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
    assert_eq!(text("code"), ["name = \"<x>\"\n```\n[model]\n"]);
    assert_eq!(text("td"), ["last_20 | <all>", "0.0242"]);
    assert!(text("script").is_empty());
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
