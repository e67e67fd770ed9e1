//! The file around the rows: parts, a digest over all of them, and the server's tag.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256};

use super::CopyError;

const MAGIC: &[u8; 16] = b"muster backup 1\n";
const DIGEST_LEN: usize = 32;
/// The digest and the server's tag.
const TRAILER_LEN: usize = 2 * DIGEST_LEN;
/// The longest part that is read: a part holds a few hundred rows, or one row.
const MOST_BYTES: u32 = 256 << 20;
const CHUNK: usize = 1 << 16;

/// What a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The header: JSON.
    Header,
    /// A sealed file: JSON.
    File,
    /// Rows of one table: its place in the header (2 bytes), then rows.
    Rows,
    /// Nothing more follows.
    End,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Header, Self::File, Self::Rows, Self::End];

    const fn byte(self) -> u8 {
        match self {
            Self::Header => b'h',
            Self::File => b'f',
            Self::Rows => b'r',
            Self::End => b'e',
        }
    }
}

/// Writes a backup from its beginning to its end.
pub(super) struct Writer<W> {
    inner: W,
    digest: Context,
    written: u64,
}

impl<W: Write> Writer<W> {
    pub(super) fn begin(inner: W) -> io::Result<Self> {
        let mut writer = Self { inner, digest: Context::new(&SHA256), written: 0 };
        writer.put(MAGIC)?;
        Ok(writer)
    }

    pub(super) fn part(&mut self, kind: Kind, content: &[u8]) -> io::Result<()> {
        let len = u32::try_from(content.len()).ok().filter(|len| *len <= MOST_BYTES);
        let len = len.ok_or_else(|| io::Error::other("a row is too large for a backup"))?;
        self.put(&[kind.byte()])?;
        self.put(&len.to_be_bytes())?;
        self.put(content)
    }

    /// Writes the digest and its tag; returns what was written to, and how many bytes that were.
    pub(super) fn end(mut self, tag: impl FnOnce(&[u8; 32]) -> [u8; 32]) -> io::Result<(W, u64)> {
        self.part(Kind::End, &[])?;
        let digest = sum(self.digest);
        self.inner.write_all(&digest)?;
        self.inner.write_all(&tag(&digest))?;
        self.inner.flush()?;
        Ok((self.inner, self.written + TRAILER_LEN as u64))
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.digest.update(bytes);
        self.written += bytes.len() as u64;
        self.inner.write_all(bytes)
    }
}

/// A file whose digest was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Whole {
    pub(super) bytes: u64,
    pub(super) digest: [u8; DIGEST_LEN],
    pub(super) tag: [u8; DIGEST_LEN],
}

/// Reads a file from end to end and compares its digest.
pub(super) fn check(path: &Path, tell: &dyn Fn(u64, u64)) -> Result<Whole, CopyError> {
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let mut file = BufReader::with_capacity(CHUNK, file);
    let mut magic = [0; MAGIC.len()];
    let is_whole = file.read_exact(&mut magic);
    if is_whole.is_err() || magic != *MAGIC {
        return Err(CopyError::content("this is no backup of a Muster server, or one of another version"));
    }
    let cut = || CopyError::content("the backup is damaged or not complete: its checksum does not hold");
    let mut left = bytes.checked_sub((MAGIC.len() + TRAILER_LEN) as u64).ok_or_else(cut)?;
    let mut digest = Context::new(&SHA256);
    digest.update(&magic);
    let mut chunk = vec![0; CHUNK];
    while left > 0 {
        let len = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        file.read_exact(&mut chunk[..len]).map_err(|_| cut())?;
        digest.update(&chunk[..len]);
        left -= len as u64;
        tell(bytes - left, bytes);
    }
    let (mut said, mut tag) = ([0; DIGEST_LEN], [0; DIGEST_LEN]);
    file.read_exact(&mut said).and_then(|()| file.read_exact(&mut tag)).map_err(|_| cut())?;
    let digest = sum(digest);
    if said != digest { Err(cut()) } else { Ok(Whole { bytes, digest, tag }) }
}

/// Reads the parts of a backup one by one.
pub(super) struct Reader {
    file: BufReader<File>,
    digest: Context,
    read: u64,
}

impl Reader {
    pub(super) fn open(path: &Path) -> Result<Self, CopyError> {
        let file = BufReader::with_capacity(CHUNK, File::open(path)?);
        let mut reader = Self { file, digest: Context::new(&SHA256), read: 0 };
        reader.take(MAGIC.len())?;
        Ok(reader)
    }

    /// Returns the next part.
    pub(super) fn part(&mut self) -> Result<(Kind, Vec<u8>), CopyError> {
        let head = self.take(5)?;
        let kind = Kind::ALL.into_iter().find(|kind| kind.byte() == head[0]);
        let kind = kind.ok_or_else(|| CopyError::content("the backup holds something unknown"))?;
        let len = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        if len > MOST_BYTES {
            return Err(CopyError::content("a part of the backup is too large"));
        }
        Ok((kind, self.take(len as usize)?))
    }

    /// How many bytes were read.
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    /// Whether what was read is the file that was checked.
    pub(super) fn is(self, whole: &Whole) -> bool {
        sum(self.digest) == whole.digest
    }

    fn take(&mut self, len: usize) -> Result<Vec<u8>, CopyError> {
        let mut bytes = vec![0; len];
        self.file.read_exact(&mut bytes)?;
        self.digest.update(&bytes);
        self.read += len as u64;
        Ok(bytes)
    }
}

fn sum(digest: Context) -> [u8; DIGEST_LEN] {
    let mut sum = [0; DIGEST_LEN];
    sum.copy_from_slice(digest.finish().as_ref());
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut writer = Writer::begin(Vec::new()).unwrap();
        writer.part(Kind::Header, b"{}").unwrap();
        writer.part(Kind::Rows, &[7; 300]).unwrap();
        let (bytes, len) = writer.end(|_| [9; 32]).unwrap();
        assert_eq!(bytes.len() as u64, len);
        bytes
    }

    fn checked(bytes: &[u8]) -> Result<Whole, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        check(file.path(), &|_, _| {}).map_err(|error| error.to_string())
    }

    #[test]
    fn what_was_written_is_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), sample()).unwrap();
        let whole = check(file.path(), &|_, _| {}).unwrap();
        assert_eq!((whole.bytes, whole.tag), (sample().len() as u64, [9; 32]));
        let mut reader = Reader::open(file.path()).unwrap();
        assert_eq!(reader.part().unwrap(), (Kind::Header, b"{}".to_vec()));
        assert_eq!(reader.part().unwrap(), (Kind::Rows, vec![7; 300]));
        assert_eq!(reader.part().unwrap(), (Kind::End, Vec::new()));
        assert!(reader.is(&whole));
    }

    #[test]
    fn no_byte_may_be_missing_or_another() {
        let whole = sample();
        for len in 0..whole.len() {
            checked(&whole[..len]).unwrap_err();
        }
        // The tag is the server's to judge.
        for at in 0..whole.len() - 32 {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            checked(&changed).unwrap_err();
        }
        checked(&[&whole[..], &[0]].concat()).unwrap_err();
        assert!(checked(&[0; 500]).unwrap_err().contains("no backup of a Muster server"));
    }
}
