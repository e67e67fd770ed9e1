//! The scenes, in order. A scene fails at the first thing that is not as it should be.

mod backup;
mod doors;
mod ending;
mod opening;

use super::report::Report;
use super::stage::Stage;

/// Plays every scene.
pub(super) async fn play(stage: &mut Stage, report: &mut Report) -> anyhow::Result<()> {
    report.scene("An operator sets up the server");
    opening::play(stage, report).await?;
    report.scene("Door 1: a one-time token that carries its secrets");
    let first = backup::play(stage, report).await?;
    report.scene("Door 2: a host made before its machine");
    let second = doors::invited(stage, report).await?;
    report.scene("Door 3: any machine of the site, and what looks like one twice");
    let third = doors::zero_touch(stage, report).await?;
    let fourth = doors::contested(stage, report, third).await?;
    report.scene("A host is retired");
    ending::play(stage, report, fourth).await?;
    for host_id in [first, second, third, fourth] {
        let host = stage.host(host_id).await?;
        report.host(&host);
    }
    Ok(())
}
