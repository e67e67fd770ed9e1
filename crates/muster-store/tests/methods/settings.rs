//! Settings of the installation.

use muster_store::Store;

use crate::backends::both;
use crate::rows::{at, told};

both! {
    async fn a_setting_is_set_anew(store: Store) {
        told(&store, |tx| {
            assert_eq!((tx.setting("audit_keep_days")?, tx.settings()?), (None, vec![]));
            tx.setting_set("audit_keep_days", "30", at(1))?;
            tx.setting_set("audit_keep_days", "40", at(2))?;
            assert_eq!(tx.setting("audit_keep_days")?.as_deref(), Some("40"));
            let rows = tx.settings()?;
            assert_eq!((rows.len(), rows[0].value.as_str(), rows[0].changed_at), (1, "40", at(2)));
            Ok(())
        })
        .await;
    }
}
