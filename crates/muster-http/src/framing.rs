//! Sees that a request head says its length more than once.
//!
//! hyper frames such a request safely (chunked wins, the connection closes) but hides it from the handler. A proxy in
//! front may have read it differently, so it is refused. This is a detector, not a parser: what it misses is framed
//! safely all the same.

const CONTENT_LENGTH: &[u8] = b"content-length:";
const TRANSFER_ENCODING: &[u8] = b"transfer-encoding:";
const LONGEST: usize = TRANSFER_ENCODING.len();

/// Reads the bytes of one request head as they arrive.
#[derive(Debug, Default)]
pub(crate) struct FramingScan {
    line: [u8; LONGEST],
    line_len: usize,
    lines: u16,
    lengths: u8,
    encodings: u8,
    is_over: bool,
}

impl FramingScan {
    /// Takes the next bytes of the head; bytes after its blank line are ignored.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.is_over {
                return;
            }
            let free = LONGEST - self.line_len;
            let taken = &piece[..piece.len().min(free)];
            self.line[self.line_len..self.line_len + taken.len()].copy_from_slice(taken);
            self.line_len += taken.len();
            if piece.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    /// Tells whether the head's blank line was seen.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Tells whether the head said its length more than once, and starts over for the next one.
    pub(crate) fn take(&mut self) -> bool {
        let scan = std::mem::take(self);
        scan.lengths > 1 || (scan.lengths == 1 && scan.encodings > 0)
    }

    fn end_line(&mut self) {
        let line = &self.line[..self.line_len];
        let is_blank = matches!(line, b"\n" | b"\r\n");
        // Blank lines before the request line are allowed and mean nothing (RFC 9112, section 2.2).
        if is_blank && self.lines > 0 {
            self.is_over = true;
        }
        if !is_blank {
            self.lines = self.lines.saturating_add(1);
        }
        let starts =
            |name: &[u8]| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        self.lengths = self.lengths.saturating_add(u8::from(starts(CONTENT_LENGTH)));
        self.encodings = self.encodings.saturating_add(u8::from(starts(TRANSFER_ENCODING)));
        self.line_len = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::FramingScan;

    fn check(pieces: &[&str], is_ambiguous: bool) {
        let mut scan = FramingScan::default();
        pieces.iter().for_each(|piece| scan.feed(piece.as_bytes()));
        assert_eq!(scan.take(), is_ambiguous, "{pieces:?}");
        assert!(!scan.take(), "the next head starts clean");
    }

    #[test]
    fn a_length_said_twice_is_seen_however_it_arrives() {
        check(&["POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"], true);
        check(&["POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\nCONTENT-LENGTH: 3\r\n\r\n"], true);
        check(&["POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n"], true);
        check(&["\r\nPOST / HTTP/1.1\ncontent-le", "ngth: 3\ncontent-length:", "3\n\n"], true);
    }

    #[test]
    fn one_length_or_one_encoding_is_not() {
        check(&["POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nContent-Length: 3\r\n\r\n"], false);
        check(&["POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"], false);
        check(&["GET / HTTP/1.1\r\nx-content-length: 3\r\ncontent-length: 0\r\n\r\n"], false);
    }
}
