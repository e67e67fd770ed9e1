//! Unambiguous bytes out of several fields: each is preceded by its length, so no byte can move to its
//! neighbour.

pub(crate) struct Framed(Vec<u8>);

impl Framed {
    /// Starts with the purpose, so that no two uses of a key ever see the same bytes.
    pub(crate) fn new(purpose: &str) -> Self {
        Self(Vec::with_capacity(192)).field(purpose.as_bytes())
    }

    pub(crate) fn field(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}
