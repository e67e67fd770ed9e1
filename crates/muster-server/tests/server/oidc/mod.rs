//! Signing in with a real provider of OpenID Connect: the way of a browser, and the ways of those who would like to be
//! somebody else.

mod attacks;
mod browser;
mod chromium;
mod flow;
mod forgeries;
mod providers;
mod removal;
mod scene;
