//! All rows of a PostgreSQL database as text, to be searched.

use anyhow::Result;
use tokio_postgres::{NoTls, SimpleQueryMessage};

/// Returns every row of every table of `url`, one a line, after the table's name.
pub async fn all_rows(url: &str) -> Result<String> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let connection = tokio::spawn(connection);
    let tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'";
    let mut text = String::new();
    for table in texts(&client.simple_query(tables).await?) {
        let rows = client.simple_query(&format!("SELECT t::text FROM \"{table}\" t")).await?;
        for row in texts(&rows) {
            text.push_str(&format!("{table}: {row}\n"));
        }
    }
    drop(client);
    connection.await??;
    Ok(text)
}

fn texts(messages: &[SimpleQueryMessage]) -> Vec<String> {
    let first = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    };
    messages.iter().filter_map(first).collect()
}
