use muster_ids::{Bearer, TeamId, UserId, WebSessionId};
use muster_wire::happening::Happening;

use crate::app::App;
use crate::effects::Ended;
use crate::failure::Failure;
use crate::unit::{Author, Fact, Unit};

/// The session a browser had before it signed in anew: whoever planted it there has nothing of it afterwards.
#[derive(Debug, Clone)]
pub(crate) struct Former {
    id: WebSessionId,
    /// Whose exclusive lock [`end`](Self::end) needs.
    pub(crate) user_id: UserId,
    team_id: TeamId,
}

impl Former {
    /// Finds it by what the browser carries.
    pub(crate) async fn find(app: &App, bearer: Option<&Bearer>) -> Result<Option<Self>, Failure> {
        let Some(bearer) = bearer else { return Ok(None) };
        let id = WebSessionId::new(bearer.id);
        let found = app.look(move |tx| tx.operator_by_web_session(&id)).await?;
        let stored = found.as_ref().map(|row| row.verifier.as_slice());
        let is_proved = app.keyring.verify(bearer, stored);
        let row = found.filter(|_| is_proved);
        Ok(row.map(|row| Self { id, user_id: row.user_id, team_id: row.team_id }))
    }

    /// Ends it.
    pub(crate) fn end(&self, unit: &mut Unit<'_, '_>, source: &str) -> Result<(), Failure> {
        if !unit.tx.web_session_end(self.user_id, &self.id, unit.now)? {
            return Ok(());
        }
        unit.end(self.team_id, Ended::WebSession(self.id), "signed in anew")?;
        let author = Author { actor: self.user_id.to_string(), role: None, source: source.to_owned() };
        unit.happened(Fact::new(Happening::WebSessionEnded, self.team_id, &author, self.id));
        Ok(())
    }
}
