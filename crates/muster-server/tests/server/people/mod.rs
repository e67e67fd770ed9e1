//! Members, invitations and API tokens: who may make, change and remove whom.

mod canaries;
mod invitations;
mod members;
mod neighbours;
mod races;
mod reach;
mod removal;
mod scene;
mod tokens;
