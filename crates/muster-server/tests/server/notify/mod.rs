//! Notifications: what reaches people by mail and chat, when, and what never does.

mod canaries;
mod desk;
mod flow;
mod hostile;
mod senders;
