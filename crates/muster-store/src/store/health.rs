//! What the transactions of a store say of its database, for whoever asks whether it is ready.

use std::sync::{Mutex, PoisonError};

use crate::{StoreError, WriteError};

/// The last trouble that a read alone does not show.
#[derive(Default)]
pub(super) struct Health(Mutex<Option<StoreError>>);

impl Health {
    pub(super) fn trouble(&self) -> Option<StoreError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Damage stays until the process ends: what looks at every page is the next start.
    pub(super) fn after_read<T, E: WriteError>(&self, result: &Result<T, E>) {
        if let Some(error @ StoreError::Damaged { .. }) = store_error(result) {
            self.note(Some(error.clone()));
        }
    }

    /// A database that takes no changes may take them again: the next change that goes well says so.
    pub(super) fn after_write<T, E: WriteError>(&self, result: &Result<T, E>) {
        match store_error(result) {
            Some(error @ (StoreError::Damaged { .. } | StoreError::Unreachable { .. })) => {
                self.note(Some(error.clone()));
            }
            Some(_) => {}
            None if result.is_ok() => self.note(None),
            None => {}
        }
    }

    fn note(&self, trouble: Option<StoreError>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*known, Some(StoreError::Damaged { .. })) {
            return;
        }
        if let Some(error @ StoreError::Damaged { .. }) = &trouble {
            tracing::error!(%error, "the database is damaged");
        }
        *known = trouble;
    }
}

fn store_error<T, E: WriteError>(result: &Result<T, E>) -> Option<&StoreError> {
    result.as_ref().err().and_then(WriteError::as_store)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_change_that_goes_well_ends_an_outage_and_nothing_ends_damage() {
        let health = Health::default();
        let unreachable = || StoreError::Unreachable { source: Arc::new(std::io::Error::other("gone")) };
        health.after_read::<(), _>(&Err(unreachable()));
        assert!(health.trouble().is_none(), "whoever reads finds out themselves");
        health.after_write::<(), _>(&Err(unreachable()));
        health.after_write::<(), _>(&Err(StoreError::Conflict));
        health.after_read::<_, StoreError>(&Ok(()));
        assert!(matches!(health.trouble(), Some(StoreError::Unreachable { .. })));
        health.after_write::<_, StoreError>(&Ok(()));
        assert!(health.trouble().is_none());
        health.after_read::<(), _>(&Err(StoreError::damaged("a page")));
        health.after_write::<(), _>(&Err(unreachable()));
        health.after_write::<_, StoreError>(&Ok(()));
        assert!(matches!(health.trouble(), Some(StoreError::Damaged { .. })));
    }
}
