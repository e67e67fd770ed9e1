//! Rows as bytes: a tag and a value for each column; numbers are big-endian.

use muster_store::Value;

use super::CopyError;

const NULL: u8 = 0;
const INTEGER: u8 = 1;
const TEXT: u8 = 2;
const BYTES: u8 = 3;

/// Appends a row.
pub(super) fn put(row: &[Value], out: &mut Vec<u8>) {
    for value in row {
        match value {
            Value::Null => out.push(NULL),
            Value::Integer(number) => {
                out.push(INTEGER);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Value::Text(text) => put_bytes(TEXT, text.as_bytes(), out),
            Value::Bytes(bytes) => put_bytes(BYTES, bytes, out),
            Value::Uuid(uuid) => put_bytes(BYTES, uuid.as_bytes(), out),
        }
    }
}

fn put_bytes(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    out.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Takes rows of `width` columns until nothing is left.
pub(super) fn take(mut rest: &[u8], width: usize) -> Result<Vec<Vec<Value>>, CopyError> {
    let mut rows = Vec::new();
    while !rest.is_empty() {
        let mut row = Vec::with_capacity(width);
        for _ in 0..width {
            row.push(take_value(&mut rest)?);
        }
        if row.is_empty() {
            return Err(CopyError::content("a table without columns has rows"));
        }
        rows.push(row);
    }
    Ok(rows)
}

fn take_value(rest: &mut &[u8]) -> Result<Value, CopyError> {
    match take_array::<1>(rest)?[0] {
        NULL => Ok(Value::Null),
        INTEGER => Ok(Value::Integer(i64::from_be_bytes(take_array(rest)?))),
        TEXT => match String::from_utf8(take_bytes(rest)?) {
            Ok(text) => Ok(Value::Text(text)),
            Err(_) => Err(CopyError::content("a text of the backup is not UTF-8")),
        },
        BYTES => Ok(Value::Bytes(take_bytes(rest)?)),
        _ => Err(CopyError::content("a value of the backup is of no known kind")),
    }
}

fn take_bytes(rest: &mut &[u8]) -> Result<Vec<u8>, CopyError> {
    let len = usize::try_from(u64::from_be_bytes(take_array(rest)?)).unwrap_or(usize::MAX);
    let (bytes, after) = rest.split_at_checked(len).ok_or_else(short)?;
    *rest = after;
    Ok(bytes.to_vec())
}

fn take_array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], CopyError> {
    let (bytes, after) = rest.split_first_chunk::<N>().ok_or_else(short)?;
    *rest = after;
    Ok(*bytes)
}

fn short() -> CopyError {
    CopyError::content("a row of the backup ends too early")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_were() {
        let rows = vec![
            vec![
                Value::Null,
                Value::Integer(i64::MIN),
                Value::Text("ä\n".to_owned()),
                Value::Bytes(vec![0, 255]),
            ],
            vec![Value::Text(String::new()), Value::Integer(-1), Value::Null, Value::Bytes(Vec::new())],
        ];
        let mut bytes = Vec::new();
        rows.iter().for_each(|row| put(row, &mut bytes));
        assert_eq!(take(&bytes, 4).unwrap(), rows);
    }

    #[test]
    fn what_is_cut_or_unknown_is_refused() {
        let mut bytes = Vec::new();
        put(&[Value::Text("text".to_owned()), Value::Integer(7)], &mut bytes);
        for len in 1..bytes.len() {
            assert!(take(&bytes[..len], 2).is_err(), "{len}");
        }
        assert!(take(&[9], 1).is_err());
        assert!(take(&[TEXT, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], 1).is_err());
        assert!(take(&[TEXT, 0, 0, 0, 0, 0, 0, 0, 1, 0xff], 1).is_err());
        assert!(take(&[NULL], 0).is_err());
    }
}
