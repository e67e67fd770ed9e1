//! What the machines' listener shows, on a whole server: its own identity, files, orders, reloads, rotations, and how it
//! stops.

#[cfg(feature = "acme")]
mod acme;
mod files;
mod own;
mod scene;
mod stop;
