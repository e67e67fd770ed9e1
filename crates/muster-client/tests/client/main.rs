//! The dialer against servers that are not what they should be.

mod api;
mod channel;
mod peers;
mod requests;
mod trust;
