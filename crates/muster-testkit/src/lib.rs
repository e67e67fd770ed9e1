//! For tests only: what they need from outside the program. It knows none of Muster's own crates.

pub mod acme;
pub mod binaries;
pub mod browser;
pub mod canary;
pub mod connect_proxy;
pub mod faketime;
pub mod http;
pub mod imposter;
pub mod mail;
pub mod matrix;
pub mod npm;
pub mod oidc;
pub mod pebble;
pub mod ports;
pub mod postgres;
pub mod proxy;
pub mod python;
pub mod receiver;
pub mod repository;
pub mod tables;
