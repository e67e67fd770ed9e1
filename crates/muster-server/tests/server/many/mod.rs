//! Many hosts at once, and few of many: one order for a hundred hosts, one change of them, the filters of lists, saved
//! views, and jobs that are taken back. On both databases.

mod changes;
mod jobs;
mod push;
mod search;
mod views;

use crate::world::{Joined, Machine, World};

/// Joins so many machines with one site key.
async fn crowd(world: &World, many: usize) -> Vec<Joined> {
    let site_key = world.site_key().await;
    let mut crowd = Vec::with_capacity(many);
    for n in 0..many {
        crowd.push(Machine::new(&format!("m{n:03}")).join(world, &site_key).await);
    }
    crowd.sort_by_key(|host| host.host_id);
    crowd
}

/// The ids of hosts, as a body names them.
fn ids(hosts: &[Joined]) -> serde_json::Value {
    hosts.iter().map(|host| host.host_id.to_string()).collect()
}

/// An id of a host that is not there.
const NOBODY: &str = "host_0190c0de00007000800000000000c0de";
