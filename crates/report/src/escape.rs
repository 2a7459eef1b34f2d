//! Text made safe for the language it is put into.

/// `text` as the content of an XML or HTML element, or of an attribute in double quotes.
/// Characters that XML 1.0 cannot hold become the replacement character.
pub(crate) fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' => out.push(c),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// `text` as one line of Markdown with no markup in it, and nothing that GitHub makes a link of: addresses, names after
/// `@`, numbers after `#`.
pub(crate) fn markdown_inline(text: &str) -> String {
    /// Parts a text where it stands, and is not seen.
    const NOTHING: &str = "<!-- -->";
    let mut out = String::with_capacity(text.len());
    let text = one_line(text);
    for (i, c) in text.char_indices() {
        let (before, after) = (&text[..i], &text[i..]);
        let begins_a_link = after.starts_with("://")
            || c == '@'
            || c == '.' && before.to_ascii_lowercase().ends_with("www")
            || c.is_ascii_digit() && before.ends_with('#');
        if begins_a_link {
            out.push_str(NOTHING);
        }
        if "\\`*_[]<>#|~&$".contains(c) {
            out.push('\\');
        }
        out.push(c);
        if c == '@' {
            out.push_str(NOTHING);
        }
    }
    out
}

/// `text` as a paragraph of Markdown: one line without markup, which starts no list, heading or quote.
pub(crate) fn markdown(text: &str) -> String {
    let mut out = markdown_inline(text);
    let digits = out.chars().take_while(char::is_ascii_digit).count();
    if out.starts_with(['-', '+', '=']) {
        out.insert(0, '\\');
    } else if digits > 0 && out[digits..].starts_with(['.', ')']) {
        out.insert(digits, '\\');
    }
    out
}

/// `text` on one line: a line break becomes a space, any other control character (a terminal's escape, say) the
/// replacement character.
pub(crate) fn one_line(text: &str) -> String {
    let plain = |c: char| match c {
        '\n' | '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.replace("\r\n", "\n").trim().chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xml_keeps_text_text() {
        assert_eq!(xml("a < b && \"c\" > 'd'"), "a &lt; b &amp;&amp; &quot;c&quot; &gt; 'd'");
        assert_eq!(xml("bell \u{7} and null \0"), "bell \u{fffd} and null \u{fffd}");
    }

    #[test]
    fn markdown_has_no_markup_left() {
        assert_eq!(markdown("least_squares *is* `exact` | <b>"), r"least\_squares \*is\* \`exact\` \| \<b\>");
        assert_eq!(markdown("1. not a list"), r"1\. not a list");
        assert_eq!(markdown("- nor\nthis"), r"\- nor this");
        assert_eq!(markdown_inline("- 1."), "- 1.");
    }

    #[test]
    fn a_name_that_looks_like_an_address_is_no_link() {
        assert_eq!(markdown_inline("www.x.example"), "www<!-- -->.x.example");
        assert_eq!(markdown_inline("https://x"), "https<!-- -->://x");
        assert_eq!(markdown_inline("a@b and @c"), "a<!-- -->@<!-- -->b and <!-- -->@<!-- -->c");
        assert_eq!(markdown_inline("#12, # 3"), "\\#<!-- -->12, \\# 3");
    }

    #[test]
    fn a_terminal_gets_no_control_characters() {
        assert_eq!(one_line("red \u{1b}[31m\r\nline"), "red \u{fffd}[31m line");
    }
}
