//! A password about to be judged.
//!
//! What must hold at once, and why it is done in this order:
//! - **Nobody is locked out of their account by somebody else.** So the right password is served however many wrong
//!   ones were shown for its login, as long as it comes from a source that did not fail itself.
//! - **Nobody guesses on.** So a source that failed too often is refused, and while a login is guessed at from many
//!   sources, each of them gets one guess. Everything is counted under one spelling of the login, whether or not
//!   anybody has it, in tables of bounded size where a newcomer takes over the level it pushes out.
//! - **Nobody makes the server work.** So a source over its limit is refused *before* the slow hash, each source has
//!   few in flight, which also bounds what guesses in parallel gain, and two are hashed at a time altogether.
//! - **Nobody learns which logins exist.** So an unknown login, a person without a password and a removed one take the
//!   same path through the same work to the same bytes.

use muster_http::{AddressBucket, Problem};
use muster_ids::PublicId;
use muster_store::rows::SignInRow;
use muster_wire::sign_in::Password;

use crate::app::App;
use crate::auth::failed_guess;
use crate::budgets::Flight;
use crate::failed_attempts::Whom;
use crate::failure::Failure;
use crate::passwords::{Verdict, verify};
use crate::problems::too_many_failures;

/// A password about to be judged, until its outcome was counted.
pub(crate) struct Guess<'a> {
    app: &'a App,
    source: AddressBucket,
    login: PublicId,
    whom: Option<Whom>,
    _flight: Flight,
}

impl<'a> Guess<'a> {
    /// Begins to judge a password for a folded login, unless this source may not guess now.
    pub(crate) fn begin(app: &'a App, source: AddressBucket, login: &str) -> Result<Self, Problem> {
        let flight = app.budgets.guessers.begin(source)?;
        let login = app.keyring.login_key(login);
        match app.limits.refuses_guess(source, login, app.clock.monotonic()) {
            Some(wait) => Err(too_many_failures(wait)),
            None => Ok(Self { app, source, login, whom: None, _flight: flight }),
        }
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

    /// Counts that it was wrong; `problem` is its answer unless there were too many.
    pub(crate) fn failed(&self, problem: Problem) -> Problem {
        failed_guess(self.app, self.source, self.login, self.whom, problem)
    }
}
