//! The log of a job: bounded, and without anything that could steer a terminal.

use muster_store::StoreError;
use muster_store::rows::JobRow;

use crate::failure::Failure;
use crate::unit::Unit;

/// Most lines of a job's log.
pub const MAX_LOG_LINES: i64 = 10_000;
/// Most bytes of a job's log.
pub const MAX_LOG_BYTES: i64 = 1024 * 1024;
const CUT: &str = "the log was cut here: it holds at most 10000 lines and 1 MiB";

/// Appends lines as far as there is room; the line that finds none is followed by one that says so.
pub(super) fn append(unit: &mut Unit<'_, '_>, job: &JobRow, lines: &[String]) -> Result<(), Failure> {
    if lines.is_empty() || job.log_lines > MAX_LOG_LINES {
        return Ok(());
    }
    let (mut count, mut bytes) = (job.log_lines, job.log_bytes);
    let mut kept = Vec::with_capacity(lines.len());
    let mut is_cut = false;
    for line in lines {
        let line = visible(line);
        let len = i64::try_from(line.len()).unwrap_or(MAX_LOG_BYTES);
        if count == MAX_LOG_LINES || bytes + len > MAX_LOG_BYTES {
            is_cut = true;
            kept.push(CUT.to_owned());
            break;
        }
        (count, bytes) = (count + 1, bytes + len);
        kept.push(line);
    }
    let stored_lines = if is_cut { MAX_LOG_LINES + 1 } else { count };
    if !unit.tx.job_log_take(job, stored_lines, bytes)? {
        return Err(StoreError::Conflict.into());
    }
    for (n, line) in (job.log_lines + 1..).zip(&kept) {
        unit.tx.job_log_insert(job.id, n, unit.now, line)?;
    }
    Ok(())
}

/// Leaves out control characters and those that turn the direction of text.
fn visible(line: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
    };
    line.chars().map(|c| if c == '\t' { ' ' } else { c }).filter(|c| !steers(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::visible;

    #[test]
    fn nothing_in_a_line_steers_a_terminal() {
        assert_eq!(visible("a\u{1b}[31mred\u{7}\tb\r\n\0"), "a[31mred b");
        assert_eq!(visible("abc\u{202e}fed"), "abcfed");
        assert_eq!(visible("grüße 你好 😀"), "grüße 你好 😀");
    }
}
