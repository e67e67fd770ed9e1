//! Replies of POSTs that showed something once, kept sealed for a retry with the same `Idempotency-Key`.

use muster_ids::Timestamp;

use crate::{StoreError, Tx, params};

/// A reply that may be asked for again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotentReplyRow {
    /// Who asked.
    pub principal: String,
    /// Their key.
    pub key: String,
    /// Digest of the request.
    pub request: Vec<u8>,
    /// The reply, sealed.
    pub reply: Vec<u8>,
    /// When it was first given.
    pub created_at: Timestamp,
}

impl Tx<'_> {
    /// Keeps a reply. `false`: another request of this principal took the key first.
    pub fn idempotent_reply_insert(&mut self, row: &IdempotentReplyRow) -> Result<bool, StoreError> {
        let changed = self.execute(
            "INSERT INTO idempotent_reply (principal, key, request, reply, created_at) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (principal, key) DO NOTHING",
            params![row.principal, row.key, row.request, row.reply, row.created_at],
        )?;
        Ok(changed == 1)
    }

    /// Returns the reply that was given for a key.
    pub fn idempotent_reply(
        &mut self,
        principal: &str,
        key: &str,
    ) -> Result<Option<IdempotentReplyRow>, StoreError> {
        self.query_opt(
            "SELECT principal, key, request, reply, created_at FROM idempotent_reply
              WHERE principal = $1 AND key = $2",
            params![principal, key],
            |row| {
                Ok(IdempotentReplyRow {
                    principal: row.get(0)?,
                    key: row.get(1)?,
                    request: row.get(2)?,
                    reply: row.get(3)?,
                    created_at: row.get(4)?,
                })
            },
        )
    }
}
