//! The floor of a join on PostgreSQL: eight connections, one transaction of its own for each join.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use muster_testkit::postgres::Cluster;
use tokio::time::Instant;
use tokio_postgres::{Client, NoTls, Statement};

use crate::figures::per_second;

const CONNECTIONS: usize = 8;
const TOKENS: i64 = 100_000;
const SCHEMA: &str = "
    CREATE TABLE token (id TEXT PRIMARY KEY, spent_at BIGINT, spent_by TEXT);
    CREATE TABLE host (id BIGINT PRIMARY KEY, site_id BIGINT NOT NULL, uid TEXT NOT NULL, name TEXT NOT NULL,
                       facts TEXT NOT NULL, created_at BIGINT NOT NULL);
    CREATE INDEX host_site ON host (site_id, id);
    CREATE TABLE credential (name TEXT PRIMARY KEY, host_id BIGINT NOT NULL, material TEXT NOT NULL);
    CREATE INDEX credential_host ON credential (host_id);
    CREATE TABLE audit (seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id BIGINT NOT NULL UNIQUE,
                        team_id BIGINT NOT NULL, details TEXT NOT NULL);
    INSERT INTO token (id) SELECT md5(n::TEXT) FROM generate_series(1, 100000) AS n;
";
const FACTS: &str = r#"{"os":"Debian 12","arch":"x86_64","cpu_cores":4,"memory_mb":8192,"disk_gb":100}"#;

struct Statements {
    spend: Statement,
    host: Statement,
    credential: Statement,
    audit: Statement,
}

impl Statements {
    async fn prepare(client: &Client) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            spend: client
                .prepare(
                    "UPDATE token SET spent_at = $1, spent_by = $2
                      WHERE id = md5(($1::BIGINT)::TEXT) AND spent_at IS NULL RETURNING id",
                )
                .await?,
            host: client
                .prepare(
                    "INSERT INTO host (id, site_id, uid, name, facts, created_at)
                     VALUES ($1, 7, $2, $3, $4, $1)",
                )
                .await?,
            credential: client
                .prepare("INSERT INTO credential (name, host_id, material) VALUES ($1, $2, $3)")
                .await?,
            audit: client.prepare("INSERT INTO audit (id, team_id, details) VALUES ($1, 9, $2)").await?,
        })
    }
}

/// Joins for a while over eight connections and returns how many a second.
pub(crate) async fn joins_with_8_connections(lasts: Duration) -> anyhow::Result<f64> {
    let database = Cluster::shared().database();
    database.run(SCHEMA);
    let next = Arc::new(AtomicUsize::new(1));
    let mut lanes = Vec::new();
    let began = Instant::now();
    for _ in 0..CONNECTIONS {
        let (client, connection) = tokio_postgres::connect(database.url(), NoTls).await?;
        let connection = tokio::spawn(connection);
        let next = Arc::clone(&next);
        lanes.push(tokio::spawn(async move {
            let statements = Statements::prepare(&client).await?;
            let mut joins = 0;
            while began.elapsed() < lasts {
                let number = next.fetch_add(1, Ordering::Relaxed) as i64;
                if number > TOKENS {
                    break;
                }
                join(&client, &statements, number).await?;
                joins += 1;
            }
            drop(client);
            connection.await??;
            anyhow::Ok(joins)
        }));
    }
    let mut joins = 0;
    for lane in lanes {
        joins += lane.await??;
    }
    Ok(per_second(joins, began.elapsed()))
}

async fn join(client: &Client, statements: &Statements, number: i64) -> anyhow::Result<()> {
    let key = format!("jkt:{number:043}");
    client.batch_execute("BEGIN").await?;
    let spent: String = client.query_one(&statements.spend, &[&number, &key]).await?.get(0);
    client.execute(&statements.host, &[&number, &spent, &format!("swarm-{number}"), &FACTS]).await?;
    client.execute(&statements.credential, &[&key, &number, &FACTS]).await?;
    client.execute(&statements.audit, &[&number, &FACTS]).await?;
    Ok(client.batch_execute("COMMIT").await?)
}
