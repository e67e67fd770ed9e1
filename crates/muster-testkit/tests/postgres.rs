//! The private server comes, keeps databases apart and goes.

use muster_testkit::postgres::Cluster;
use tokio_postgres::NoTls;

async fn run(url: &str, sql: &str) -> Result<(), tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    client.batch_execute(sql).await
}

#[tokio::test]
async fn databases_are_apart_and_dropped_with_their_value() {
    let cluster = Cluster::shared();
    let (one, two) = (cluster.database(), cluster.database());
    run(one.url(), "CREATE TABLE mine (id BIGINT)").await.unwrap();
    run(two.url(), "CREATE TABLE mine (id BIGINT)").await.unwrap();
    let url = one.url().to_owned();
    drop(one);
    assert!(run(&url, "SELECT 1").await.is_err());
}

#[tokio::test]
async fn commits_are_synced_and_text_does_not_sort_by_bytes() {
    let database = Cluster::shared().database();
    let facts = "DO $$ BEGIN
        ASSERT current_setting('fsync') = 'on' AND current_setting('synchronous_commit') = 'on';
        ASSERT 'a' < 'B';
    END $$";
    run(database.url(), facts).await.unwrap();
}

#[tokio::test]
async fn a_server_is_gone_when_its_value_is() {
    let cluster = Cluster::start().unwrap();
    let url = cluster.admin_url().to_owned();
    run(&url, "SELECT 1").await.unwrap();
    drop(cluster);
    assert!(run(&url, "SELECT 1").await.is_err());
}
