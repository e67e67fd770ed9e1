//! The door: loads what is known, asks `muster_domain::admission`, records what it says.
