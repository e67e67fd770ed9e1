//! The name somebody signs in with: one spelling of it for everybody.

use unicode_normalization::UnicodeNormalization;

/// The longest login, in characters.
const LONGEST: usize = 64;

/// A login in its one spelling: `[a-z0-9]`, in between also `._@+-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Login(String);

/// Why a text is no login; the code of the field's problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// Nothing, or only white space.
    #[error("empty")]
    Empty,
    /// More than a login may have.
    #[error("too_long")]
    TooLong,
    /// Other characters than those of a login, which would look like another one.
    #[error("malformed")]
    Malformed,
}

impl Login {
    /// Parses a login; how it was typed does not matter (see [`fold`]).
    pub fn parse(text: &str) -> Result<Self, LoginError> {
        let folded = fold(text);
        if folded.is_empty() {
            return Err(LoginError::Empty);
        }
        if folded.chars().count() > LONGEST {
            return Err(LoginError::TooLong);
        }
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let allowed = |c: char| plain(c) || "._@+-".contains(c);
        let is_good = folded.chars().all(allowed) && folded.starts_with(plain) && folded.ends_with(plain);
        if is_good { Ok(Self(folded)) } else { Err(LoginError::Malformed) }
    }

    /// Returns the one spelling.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Folds what was typed as a login: compatibility forms (NFKC), case, and surrounding space do not count.
///
/// Attempts are counted under this, whether or not it is a login.
pub fn fold(text: &str) -> String {
    let lower = text.nfkc().collect::<String>().to_lowercase();
    lower.nfkc().collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_it_is_typed_it_is_one_login() {
        for text in ["admin", "Admin", " admin ", "ADMIN\u{a0}", "ａｄｍｉｎ", "Ａdmin\u{3000}", "ⓐdmin"]
        {
            assert_eq!(Login::parse(text).as_ref().map(Login::as_str), Ok("admin"), "{text:?}");
        }
    }

    #[test]
    fn what_looks_like_another_login_is_none() {
        let check = |text: &str, expected| assert_eq!(Login::parse(text).err(), expected, "{text:?}");
        for good in ["a", "7", "ada.lovelace@example.org", "a+b-c_d", &"a".repeat(64)] {
            check(good, None);
        }
        check("", Some(LoginError::Empty));
        check(" \t\u{3000}", Some(LoginError::Empty));
        check(&"a".repeat(65), Some(LoginError::TooLong));
        for bad in
            ["аdmin", "adm\u{200b}in", "ad min", ".admin", "admin.", "ada\nlovelace", "ada/lovelace", "é"]
        {
            check(bad, Some(LoginError::Malformed));
        }
    }
}
