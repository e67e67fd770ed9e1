//! The Muster agent: joins, keeps one channel, runs backups.

pub mod attempts;
pub mod cli;
pub mod enroll;
pub mod error;
pub mod facts;
pub mod hardening;
pub mod join;
pub mod leave;
pub mod log;
pub mod machine;
pub mod machine_uid;
pub mod policy;
pub mod proof;
pub mod restic;
pub mod run;
pub mod server;
pub mod session;
pub mod state;
pub mod status;
pub mod visible;
pub mod work;
