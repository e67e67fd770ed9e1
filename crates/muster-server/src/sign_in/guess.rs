//! A password about to be judged.
//!
//! What must hold at once, and why it is done in this order:
//! - **Nobody is locked out of their account by somebody else.** So the right password is served however many wrong
//!   ones were shown for its login, as long as it comes from a source that did not fail itself.
//! - **Nobody guesses on.** So a source that failed too often is refused, and while a login is guessed at from many
//!   sources, each of them gets one guess. Everything is counted under one spelling of the login, whether or not
//!   anybody has it, in tables of bounded size where a newcomer takes over the level it pushes out.
//! - **Nobody makes the server work.** So a source over its limit is refused *before* the slow hash, each source has
//!   few in flight until their work is done, and two are hashed at a time altogether.
//! - **Nobody guesses for free.** So a guess is counted before it is judged, given back when it was right or not judged,
//!   and runs in [`muster_http::to_the_end`]: who hangs up, or guesses in parallel, is counted like everybody.
//! - **Nobody learns which logins exist.** So an unknown login, a person without a password and a removed one take the
//!   same path through the same work to the same bytes.

use muster_http::{AddressBucket, Problem};
use muster_ids::PublicId;
use muster_store::rows::SignInRow;
use muster_wire::sign_in::{Code, Password};

use super::second_factor::is_of_time;
use crate::app::App;
use crate::auth::failed_of;
use crate::budgets::Flight;
use crate::failed_attempts::{AttemptKind, Whom};
use crate::failure::Failure;
use crate::limits::{Charged, ChargedGuess};
use crate::passwords::{Verdict, verify};
use crate::problems::too_many_failures;

/// A guess about to be judged. It is counted already; dropped without having [`failed`](Self::failed), it is given
/// back, so it must live in [`muster_http::to_the_end`].
pub(crate) struct Guess<'a> {
    app: &'a App,
    kind: AttemptKind,
    source: AddressBucket,
    guessed: PublicId,
    charged: Option<ChargedGuess>,
    code: Option<Charged<PublicId>>,
    whom: Option<Whom>,
    _flight: Flight,
}

impl<'a> Guess<'a> {
    /// Begins to judge a password for a folded login, unless this source may not guess now.
    pub(crate) fn begin(app: &'a App, source: AddressBucket, login: &str) -> Result<Self, Problem> {
        Self::begin_at(app, AttemptKind::SignIn, source, app.keyring.login_key(login))
    }

    /// Begins to judge something about `guessed`, unless this source may not guess now.
    pub(crate) fn begin_at(
        app: &'a App,
        kind: AttemptKind,
        source: AddressBucket,
        guessed: PublicId,
    ) -> Result<Self, Problem> {
        let flight = app.budgets.guessers.begin(source)?;
        let charged = app.limits.charge_guess(source, guessed, app.clock.monotonic());
        let charged = Some(charged.map_err(too_many_failures)?);
        Ok(Self { app, kind, source, guessed, charged, code: None, whom: None, _flight: flight })
    }

    /// Says whose password it would be, for the record of failures alone; nobody's, if there is no such person.
    pub(crate) fn of(mut self, row: Option<&SignInRow>) -> Self {
        self.whom = row.map(|row| Whom { user_id: row.user_id, team_id: row.team_id });
        self
    }

    /// Judges it against a stored hash, or does the same work without one.
    pub(crate) async fn judge(&self, typed: &Password, phc: Option<String>) -> Result<Verdict, Failure> {
        verify(self.app, typed, phc).await
    }

    /// Counts a code of a person before it is judged, unless too many were wrong; recovery codes are always looked at,
    /// because nobody guesses one.
    pub(crate) fn with_code(mut self, row: &SignInRow, code: &Code) -> Result<Self, Problem> {
        let person = self.app.keyring.login_key(&row.user_id.to_string());
        let charged = self.app.limits.charge_code(person, is_of_time(code), self.app.clock.monotonic());
        self.code = Some(charged.map_err(too_many_failures)?);
        Ok(self)
    }

    /// Says that it was wrong; `problem` is its answer unless there were too many.
    pub(crate) fn failed(mut self, problem: Problem) -> Problem {
        let over = self.charged.take().and_then(|charged| charged.over);
        self.code = None;
        let problem = failed_of(self.app, self.kind, self.source, Some(self.guessed), self.whom, problem);
        over.map_or(problem, too_many_failures)
    }
}

impl Drop for Guess<'_> {
    fn drop(&mut self) {
        if let Some(charged) = self.charged.take() {
            self.app.limits.give_back_guess(charged);
        }
        if let Some(charged) = self.code.take() {
            self.app.limits.give_back_code(charged);
        }
    }
}
