//! Command lines as a reader can paste them.

/// Words with quotes where a shell needs them.
///
/// ```
/// let words = ["looped", "resume", "runs/it's new"];
/// assert_eq!(looped_config::command_line(&words), r"looped resume 'runs/it'\''s new'");
/// ```
#[must_use]
pub fn command_line<T: AsRef<str>>(words: &[T]) -> String {
    words.iter().map(|word| quoted(word.as_ref())).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_read_otherwise_is_quoted() {
        let words = ["looped", "a=1e-4", "model.injector={type=\"last_n\"}", "it's", ""];
        assert_eq!(command_line(&words), r#"looped a=1e-4 'model.injector={type="last_n"}' 'it'\''s' ''"#);
    }
}
