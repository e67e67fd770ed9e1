//! The Muster server as a library: routes, the door, the channel's shell, reconcilers.
//!
//! A handler reads the clock, loads, decides, records, replies. Rules are in `muster-domain`, SQL is in
//! `muster-store`. To add a route: a handler in `api`, a line in [`router`], and the permission it needs as the type
//! of its [`auth::Actor`].

pub mod acme;
pub mod api;
pub mod app;
pub mod auth;
pub mod backup;
pub mod budgets;
pub mod census;
pub mod channel;
pub mod effects;
pub mod endpoints;
pub mod enrol;
pub mod event_stream;
pub mod events;
pub mod failed_attempts;
pub mod failure;
pub mod former_uses;
pub mod gathered;
pub mod host_config;
pub mod host_view;
pub mod idempotency;
pub mod installation;
pub mod jobs;
pub mod limits;
pub(crate) mod members;
pub mod metrics;
pub mod news;
pub mod notify;
pub mod oidc;
pub mod outbound;
pub(crate) mod passwords;
pub mod presence;
pub mod problems;
pub mod reconcile;
pub mod recover;
pub mod revocations;
pub mod router;
pub mod secrets;
pub mod serve;
pub mod server_keys;
pub mod settings;
pub(crate) mod sign_in;
pub mod streams;
pub mod tls;
pub mod trail;
pub mod unit;
pub mod uses;
pub mod vitals;
