//! The dashboard in a real Chromium, over the real server, real agents and real restic (issue 5).
//!
//! A flow is a script in `browser/*.mjs` that does what a person does, by labels, roles and headings; the test does what
//! happens outside of the browser when the script asks for it. What goes wrong on any page meanwhile fails the flow.

mod acting;
mod fleet;
mod invited;
mod joining;
mod looking;
mod pictures;
mod scene;

use scene::Scene;
