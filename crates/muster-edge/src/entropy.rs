use std::cell::RefCell;

use muster_ids::{PublicId, Timestamp};
use uuid::Uuid;

/// Random bytes of a version 7 UUID.
const OF_A_NAME: usize = 10;
/// Names that are drawn at a time.
const NAMES: usize = 64;

thread_local! {
    static DRAWN: RefCell<Vec<[u8; OF_A_NAME]>> = const { RefCell::new(Vec::new()) };
}

/// Draws from the operating system's random source.
#[derive(Debug, Clone, Copy, Default)]
pub struct Entropy;

impl Entropy {
    /// Returns `N` random bytes.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads randomness")]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        aws_lc_rs::rand::fill(&mut bytes).expect("the operating system's random source works");
        bytes
    }

    /// Returns a version 7 UUID (RFC 9562) for `now`. It is a name and no secret: its random part is drawn ahead, with that
    /// of others, because every request has one.
    pub fn uuid(&self, now: Timestamp) -> Uuid {
        let millis = u64::try_from(now.as_millis()).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &self.of_a_name()).into_uuid()
    }

    fn of_a_name(&self) -> [u8; OF_A_NAME] {
        let ahead = DRAWN.with_borrow_mut(Vec::pop);
        ahead.unwrap_or_else(|| {
            let bytes = self.bytes::<{ OF_A_NAME * NAMES }>();
            let (names, _) = bytes.as_chunks();
            DRAWN.with_borrow_mut(|drawn| drawn.extend_from_slice(&names[1..]));
            names[0]
        })
    }

    /// Returns a fresh public id of 12 base62 characters.
    pub fn public_id(&self) -> PublicId {
        PublicId::from_entropy(self.bytes())
    }

    /// Returns a fraction in `[0, 1)`, for jitter.
    pub fn fraction(&self) -> f64 {
        let bits = u64::from_be_bytes(self.bytes()) >> 11;
        bits as f64 / (1u64 << 53) as f64
    }
}

/// Randomness drawn before a transaction, so that the transaction can be run again with the same ids.
#[derive(Clone)]
pub struct Seed([u8; 32]);

/// Values drawn from a [`Seed`], always the same ones in the same order.
#[derive(Debug)]
pub struct Draw {
    key: aws_lc_rs::hmac::Key,
    counter: u64,
}

impl Entropy {
    /// Returns a seed for one transaction.
    pub fn seed(&self) -> Seed {
        Seed(self.bytes())
    }
}

impl Seed {
    /// Begins to draw, from the first value.
    pub fn draw(&self) -> Draw {
        Draw { key: aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &self.0), counter: 0 }
    }
}

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed")
    }
}

impl Draw {
    /// Returns the next `N` bytes, at most 32.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        const { assert!(N <= 32, "one block of HMAC-SHA-256 has 32 bytes") };
        self.counter += 1;
        let block = aws_lc_rs::hmac::sign(&self.key, &self.counter.to_be_bytes());
        let mut bytes = [0; N];
        bytes.copy_from_slice(&block.as_ref()[..N]);
        bytes
    }

    /// Returns the next version 7 UUID (RFC 9562) for `now`.
    pub fn uuid(&mut self, now: Timestamp) -> Uuid {
        let millis = u64::try_from(now.as_millis()).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &self.bytes::<10>()).into_uuid()
    }

    /// Returns the next public id.
    pub fn public_id(&mut self) -> PublicId {
        PublicId::from_entropy(self.bytes())
    }
}
