//! Looking for mistakes: memory without sharing, dead memory that isn't a number, and the first number that isn't finite.

use std::ffi::OsString;

use looped_core::{Error, Result};

/// What is looked for while a model runs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hunt {
    /// Every buffer of a list of steps has room of its own.
    pub(crate) apart: bool,
    /// Memory that nothing has written holds NaN, so that whatever is read of it shows.
    pub(crate) dead_is_nan: bool,
    /// What each step has written is looked at.
    pub(crate) finite: bool,
}

impl Hunt {
    /// As the environment says: `LOOPED_ARENA`, `LOOPED_FIND`.
    ///
    /// # Errors
    /// If a variable has a value that means nothing.
    pub(crate) fn from_environment() -> Result<Self> {
        Self::of(|variable| std::env::var_os(variable))
    }

    fn of(value: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let one_of = |variable: &str, allowed: &[&'static str]| -> Result<Option<&'static str>> {
            let Some(value) = value(variable).filter(|value| !value.is_empty()) else { return Ok(None) };
            let found = allowed.iter().find(|allowed| value == **allowed).copied();
            let allowed = allowed.join(", ");
            let wrong = || format!("the environment variable {variable} is {value:?}; allowed: {allowed}");
            found.map(Some).ok_or_else(|| Error::Data(wrong()))
        };
        let arena = one_of("LOOPED_ARENA", &["apart", "nan"])?;
        let find = one_of("LOOPED_FIND", &["nan"])?;
        Ok(Self { apart: arena.is_some(), dead_is_nan: arena == Some("nan"), finite: find.is_some() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variable: &'static str, value: &'static str) -> Result<Hunt> {
        Hunt::of(|asked| (asked == variable).then(|| value.into()))
    }

    #[test]
    fn the_environment_says_what_is_looked_for() {
        let flags = |hunt: Hunt| (hunt.apart, hunt.dead_is_nan, hunt.finite);
        assert_eq!(flags(with("LOOPED_OTHER", "nan").unwrap()), (false, false, false));
        assert_eq!(flags(with("LOOPED_ARENA", "apart").unwrap()), (true, false, false));
        assert_eq!(flags(with("LOOPED_ARENA", "nan").unwrap()), (true, true, false));
        assert_eq!(flags(with("LOOPED_FIND", "nan").unwrap()), (false, false, true));
    }

    #[test]
    fn another_value_is_refused_with_those_that_are_allowed() {
        let message = with("LOOPED_ARENA", "appart").unwrap_err().to_string();
        assert!(message.contains(r#"LOOPED_ARENA is "appart"; allowed: apart, nan"#), "{message}");
    }
}
