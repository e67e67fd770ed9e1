//! The page of a secret that is shown once: a token, the link of an invitation.

use askama::Template;

use crate::markup::{self, Markup};
use crate::shell::Shell;

/// A secret that is shown once.
#[derive(Template)]
#[template(path = "shown_once.html")]
pub(crate) struct ShownOnce {
    shell: Shell,
    /// What was made.
    heading: String,
    /// What to do with it, and until when.
    says: Markup,
    secret: Markup,
    /// Where to go when it is kept.
    back: &'static str,
    back_label: &'static str,
}

impl ShownOnce {
    /// Shows `secret`, whose button is called `label`.
    pub(crate) fn new(
        shell: Shell,
        (heading, says): (String, Markup),
        (secret, label): (&str, &str),
        (back, back_label): (&'static str, &'static str),
    ) -> Self {
        Self { shell, heading, says, secret: markup::copy(secret, label), back, back_label }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{self, HOSTILE};

    #[test]
    fn a_secret_that_is_shown_once() {
        let says = ("Token “ci” is made".to_owned(), markup::text(&format!("For {HOSTILE}.")));
        let secret =
            ("mso_0123456789abcdefghjkmnpqrs_0123456789abcdefghjkmnpqrstvwxyz0123456789", "Copy the token");
        let page =
            ShownOnce::new(Shell::sample("Token", "/account"), says, secret, ("/account", "Your account"));
        samples::check("shown_once", &page);
    }
}
