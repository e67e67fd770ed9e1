//! Takes choices off the front of an input, so that one input holds choices and text.

/// What is left of an input.
pub(crate) struct Taken<'a>(&'a [u8]);

impl<'a> Taken<'a> {
    pub(crate) fn from(data: &'a [u8]) -> Self {
        Self(data)
    }

    /// Takes one byte; zero at the end.
    pub(crate) fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    /// Takes `N` bytes, zeros from the end on.
    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    /// Returns everything that is left.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// Replaces the character at `at` (taken modulo the length) by `with`; `None` when that changes nothing.
pub(crate) fn with_one_character_changed(text: &str, at: usize, with: u8) -> Option<String> {
    let mut bytes = text.as_bytes().to_vec();
    let at = at % bytes.len();
    let with = with & 0x7f;
    if bytes[at] == with || !text.is_ascii() {
        return None;
    }
    bytes[at] = with;
    Some(String::from_utf8(bytes).expect("ASCII in, ASCII out"))
}
