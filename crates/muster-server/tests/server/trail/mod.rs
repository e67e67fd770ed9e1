//! What operators rely on: that they get in, and that the audit trail tells them what was done, in its order.

mod attempts;
mod effects;
mod export;
mod flood;
mod list;
mod retention;
mod sealing;
mod upgrade;
mod verify;
