//! What follows from what happens: pages and streams of events, endpoints, and deliveries that arrive.

mod deliveries;
mod endpoints;
mod pages;
mod receiver;
mod retention;
mod scene;
mod shares;
mod signatures;
mod stream;
mod stream_rights;
mod walls;
