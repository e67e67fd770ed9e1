//! The Muster agent: joins, keeps one channel, runs backups.

pub mod attempts;
pub mod facts;
pub mod machine_uid;
pub mod policy;
pub mod restic;
pub mod state;
pub mod visible;
