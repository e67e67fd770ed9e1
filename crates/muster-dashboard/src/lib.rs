//! The dashboard: pages for people, rendered on the server, in the same process as the API and a client of it.
//!
//! Every page is made of the API's own answers, asked for with the cookie of the browser, and every form becomes a
//! request of the API. So nobody sees or does here what the API would refuse them, and every number on a page is the
//! one the API tells. This crate knows no store, no rule and no secret but those that are shown once.
//!
//! To add a page: a file in `pages/` with its view (a template with a `sample()`), its handler, its forms; a template
//! in `templates/`; a line in `router.rs`. A test renders every sample.

mod api;
mod assets;
mod browser;
mod chart;
mod form;
mod markup;
mod pages;
mod path;
mod query;
mod refusal;
mod respond;
mod router;
#[cfg(test)]
mod samples;
mod shell;
mod strip;
mod team_choice;
mod telling;
mod visit;
mod words;

pub use router::{Dashboard, routes};
