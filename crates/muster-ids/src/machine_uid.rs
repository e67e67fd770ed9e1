//! What a machine says it is: evidence, never proof (DESIGN §4).

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;

use crate::uuid_id::{ParseIdError, text_form};

/// Where a machine uid was read; earlier sources are tried first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UidSource {
    /// Given by the operator.
    Given,
    /// SMBIOS product UUID.
    Smbios,
    /// Board and chassis serial.
    Board,
    /// Serial of the root disk.
    Disk,
    /// `/etc/machine-id`.
    Machine,
    /// Made at random on the machine.
    Random,
}

impl UidSource {
    /// Every source, in the order they are tried.
    pub const ALL: [Self; 6] =
        [Self::Given, Self::Smbios, Self::Board, Self::Disk, Self::Machine, Self::Random];

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Smbios => "smbios",
            Self::Board => "board",
            Self::Disk => "disk",
            Self::Machine => "machine",
            Self::Random => "random",
        }
    }

    /// Whether a uid of this source survives a re-image and is not copied with a disk.
    pub const fn is_strong(self) -> bool {
        matches!(self, Self::Given | Self::Smbios | Self::Board)
    }
}

/// `<source>:<sha256, first 32 hex>`: identifies hardware without revealing its serial.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MachineUid {
    source: UidSource,
    digest: [u8; 16],
}

impl MachineUid {
    /// Builds a uid from the SHA-256 of the source's value.
    pub fn from_sha256(source: UidSource, sha256: &[u8; 32]) -> Self {
        let mut digest = [0; 16];
        digest.copy_from_slice(&sha256[..16]);
        Self { source, digest }
    }

    /// Where the uid was read.
    pub const fn source(&self) -> UidSource {
        self.source
    }
}

impl fmt::Display for MachineUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.source.as_str(), HEXLOWER.encode(&self.digest))
    }
}

impl fmt::Debug for MachineUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MachineUid {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let (source, hex) = text.split_once(':').ok_or(ParseIdError)?;
        let source = UidSource::ALL.into_iter().find(|known| known.as_str() == source).ok_or(ParseIdError)?;
        let bytes = HEXLOWER.decode(hex.as_bytes()).map_err(|_| ParseIdError)?;
        Ok(Self { source, digest: bytes.try_into().map_err(|_| ParseIdError)? })
    }
}

text_form!(MachineUid, "^(given|smbios|board|disk|machine|random):[0-9a-f]{32}$");
