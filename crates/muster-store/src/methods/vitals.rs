//! What hosts say about how they are, hour by hour: a row a day.

use muster_ids::{HostId, Timestamp};

use crate::{StoreError, Tx, params};

const HOUR_MILLIS: i64 = 3_600_000;
/// Characters of an hour in a row: two numbers of eight hexadecimal digits each, or dashes where there is none. The
/// statement below counts on it.
const WIDTH: usize = 16;
const NOTHING: &str = "--------";

/// What a host said in an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VitalsRow {
    /// The host.
    pub host_id: HostId,
    /// The hour, since the Unix epoch.
    pub hour: i64,
    /// The highest load average of one minute, in hundredths.
    pub load_percent: Option<u32>,
    /// Free space of the root file system in GiB.
    pub disk_free_gb: Option<u32>,
}

impl VitalsRow {
    /// The beginning of its hour.
    pub fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.hour.saturating_mul(HOUR_MILLIS))
    }
}

impl Tx<'_> {
    /// Keeps what hosts said in an hour of a day, each host once; what was kept of that hour before is replaced.
    pub fn vitals_add(&mut self, rows: &[VitalsRow]) -> Result<(), StoreError> {
        let stored = |row: &VitalsRow| {
            let (day, hour) = (row.hour.div_euclid(24), row.hour.rem_euclid(24));
            let before = "-".repeat(usize::try_from(hour).unwrap_or_default() * WIDTH);
            let hours = format!("{before}{}{}", field(row.load_percent), field(row.disk_free_gb));
            params![row.host_id, day, hours].to_vec()
        };
        // What was before the hour, padded if hours were left out; the hour; what is after it.
        self.insert_rows(
            "INSERT INTO host_vitals (host_id, day, hours) VALUES ($1, $2, $3)
             ON CONFLICT (host_id, day) DO UPDATE SET hours =
                substr(host_vitals.hours, 1, length(excluded.hours) - 16)
                || substr(excluded.hours,
                          length(substr(host_vitals.hours, 1, length(excluded.hours) - 16)) + 1)
                || substr(host_vitals.hours, length(excluded.hours) + 1)",
            &rows.iter().map(stored).collect::<Vec<_>>(),
        )?;
        Ok(())
    }

    /// Returns what a host said in the hours from `from` on, oldest first.
    pub fn vitals(&mut self, host_id: HostId, from: Timestamp) -> Result<Vec<VitalsRow>, StoreError> {
        let first = from.as_millis().div_euclid(HOUR_MILLIS);
        let days = self.query(
            "SELECT day, hours FROM host_vitals WHERE host_id = $1 AND day >= $2 ORDER BY day",
            params![host_id, first.div_euclid(24)],
            |row| Ok((row.get::<i64>(0)?, row.get::<String>(1)?)),
        )?;
        let mut rows = Vec::new();
        for (day, hours) in days {
            for (place, piece) in (0..).zip(hours.as_bytes().chunks(WIDTH)) {
                let read = |range| piece.get(range).ok_or(()).and_then(number);
                let (Ok(load_percent), Ok(disk_free_gb)) = (read(0..8), read(8..16)) else {
                    return Err(StoreError::corrupt("the vitals of a day are not in their form"));
                };
                let row = VitalsRow { host_id, hour: day * 24 + place, load_percent, disk_free_gb };
                let says_something = load_percent.is_some() || disk_free_gb.is_some();
                rows.extend((says_something && row.hour >= first).then_some(row));
            }
        }
        Ok(rows)
    }

    /// Drops days that ended before `before`. Returns how many rows.
    pub fn vitals_drop(&mut self, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
        self.execute(
            "DELETE FROM host_vitals WHERE (host_id, day) IN
               (SELECT host_id, day FROM host_vitals WHERE day < $1 ORDER BY day LIMIT $2)",
            params![before.as_millis().div_euclid(24 * HOUR_MILLIS), limit],
        )
    }
}

fn field(number: Option<u32>) -> String {
    number.map_or_else(|| NOTHING.to_owned(), |number| format!("{number:08x}"))
}

fn number(field: &[u8]) -> Result<Option<u32>, ()> {
    if field == NOTHING.as_bytes() {
        return Ok(None);
    }
    let text = std::str::from_utf8(field).map_err(drop)?;
    u32::from_str_radix(text, 16).map(Some).map_err(drop)
}
