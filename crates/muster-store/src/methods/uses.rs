//! When credentials were last used; written in batches, never backwards.

use muster_ids::{AgentKeyId, KeyName, Timestamp, TokenId, WebSessionId};

use crate::{StoreError, Tx, params};

impl Tx<'_> {
    /// Notes the last use of an API token.
    pub fn operator_token_used(
        &mut self,
        id: &TokenId,
        at: Timestamp,
        source: &str,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE operator_token SET last_used_at = $1, last_used_from = $2
              WHERE id = $3 AND (last_used_at IS NULL OR last_used_at < $1)",
            params![at, source, id],
        )?;
        Ok(())
    }

    /// Notes the last use of a signed-in session.
    pub fn web_session_used(&mut self, id: &WebSessionId, at: Timestamp) -> Result<(), StoreError> {
        self.execute("UPDATE web_session SET seen_at = $1 WHERE id = $2 AND seen_at < $1", params![at, id])?;
        Ok(())
    }

    /// Notes a use of an agent key: the first one stays.
    pub fn agent_key_used(&mut self, id: &AgentKeyId, at: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "UPDATE host_key SET first_used_at = COALESCE(first_used_at, $1), last_used_at = $1
              WHERE name = $2 AND (last_used_at IS NULL OR last_used_at < $1)",
            params![at, KeyName::Agent(*id)],
        )?;
        Ok(())
    }
}
