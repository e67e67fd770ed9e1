//! Deterministic mutations: the same seed, the same inputs, on any machine and without a fuzzer.

/// What texts of this project are made of.
const WORDS: [&str; 24] = [
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "null",
    "-1",
    "1e999",
    "18446744073709551616",
    "\\u0000",
    "\\ud800",
    "\u{feff}",
    "\u{202e}",
    "\n",
    ".",
    "_",
    "/../",
    "%2e%2e",
    "::ffff:10.0.0.1",
    "@",
    "://",
];

/// Makes inputs out of seeds.
pub struct Mutator {
    state: u64,
}

impl Mutator {
    /// Begins at a seed.
    pub fn new(seed: u64) -> Self {
        let mut mutator = Self { state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1 };
        (0..8).for_each(|_| {
            mutator.next();
        });
        mutator
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 11) as usize % bound.max(1)
    }

    /// Changes `seed` in one to four places; `other` lends a part now and then.
    pub fn mutate(&mut self, seed: &[u8], other: &[u8]) -> Vec<u8> {
        let mut input = seed.to_vec();
        for _ in 0..=self.below(4) {
            self.change(&mut input, other);
        }
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(input.len() + 1);
        let span = self.below(16) + 1;
        let end = (at + span).min(input.len());
        match self.below(9) {
            0 | 1 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << (self.state & 7);
                }
            }
            2 => {
                let byte = self.next() as u8;
                if let Some(place) = input.get_mut(at) {
                    *place = byte;
                }
            }
            3 => {
                let byte = self.next() as u8;
                input.insert(at, byte);
            }
            4 => {
                input.drain(at..end);
            }
            5 => {
                let again = input[at..end].to_vec();
                input.splice(at..at, again);
            }
            6 => {
                let word = WORDS[self.below(WORDS.len())].bytes();
                input.splice(at..at, word);
            }
            7 => {
                let word = WORDS[self.below(WORDS.len())].bytes();
                input.splice(at..end, word);
            }
            _ => {
                let from = self.below(other.len() + 1);
                let to = (from + self.below(64)).min(other.len());
                input.splice(at..end, other[from..to].iter().copied());
            }
        }
    }
}
