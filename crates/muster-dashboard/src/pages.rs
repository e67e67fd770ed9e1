//! The pages. One file each: the view with its sample, the handlers, the forms.

pub(crate) mod account;
pub(crate) mod add_host;
pub(crate) mod approvals;
pub(crate) mod audit;
pub(crate) mod events;
pub(crate) mod host;
pub(crate) mod hosts;
pub(crate) mod invitation;
pub(crate) mod jobs;
pub(crate) mod live;
pub(crate) mod not_found;
pub(crate) mod overview;
pub(crate) mod settings;
pub(crate) mod setup;
pub(crate) mod shown_once;
pub(crate) mod sign_in;
pub(crate) mod sites;
pub(crate) mod team;
pub(crate) mod team_choice;
pub(crate) mod teams;
pub(crate) mod tickets;
pub(crate) mod webhooks;
