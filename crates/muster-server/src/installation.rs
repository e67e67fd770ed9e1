//! Facts of the installation: made once, kept in the database, sealed where they are secret.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use muster_edge::{Clock, Entropy};
use muster_ids::{KeyThumbprint, Timestamp};
use muster_keyring::Keyring;
use muster_store::{Priority, Store, StoreError, Tx};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use url::Url;

use crate::failure::Failure;
use crate::server_keys::{self, InstructionKeys};
use crate::tls::Tls;
use crate::trail;

pub(crate) const CHECK_VALUE: &str = "master_key_check";
const PUBLIC_URLS: &str = "public_urls";
pub(crate) const EPOCH: &str = "epoch";

/// Facts of the installation.
pub struct Installation {
    /// Counts restores.
    pub epoch: u32,
    /// What the machines' listener shows.
    pub tls: Arc<Tls>,
    /// URLs of listeners on loopback, always accepted as the target of a proof.
    pub loopback_urls: Vec<Url>,
    instruction_keys: RwLock<Arc<InstructionKeys>>,
    public_urls: RwLock<Vec<Url>>,
    setup_code_file: PathBuf,
    setup_code: RwLock<Option<SecretString>>,
}

/// What the installation is opened with.
pub struct Opening<'a> {
    /// The database.
    pub store: &'a Store,
    /// The server's keys.
    pub keyring: &'a Arc<Keyring>,
    /// Wall clock.
    pub clock: &'a Clock,
    /// Randomness.
    pub entropy: &'a Entropy,
    /// What the machines' listener shows.
    pub tls: Tls,
    /// URLs of listeners on loopback.
    pub loopback_urls: Vec<Url>,
    /// Public URLs given at the command line; they win over stored ones.
    pub given_urls: Vec<Url>,
    /// Public URLs to use when none were given or stored.
    pub default_urls: Vec<Url>,
    /// Where the setup code is shown to root until the first admin exists.
    pub setup_code_file: PathBuf,
}

/// Why the installation cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database was made with another key.
    #[error("the master key does not belong to this database: put back the key it was made with")]
    WrongMasterKey,
    /// Loading the facts failed.
    #[error("cannot open the installation")]
    Failure(#[from] Failure),
}

impl Installation {
    /// Loads the facts, or makes them when the database is new. A wrong master key is refused here.
    pub async fn open(opening: Opening<'_>) -> Result<Self, OpenError> {
        let seed = opening.entropy.seed();
        let keyring = opening.keyring;
        let sealed = server_keys::first(keyring, seed.draw().bytes());
        let check = keyring.check_value();
        let facts = opening
            .store
            .write(Priority::Urgent, move |tx: &mut Tx<'_>| {
                tx.installation_insert(CHECK_VALUE, &check)?;
                server_keys::begin(tx, &sealed)?;
                tx.installation_insert(EPOCH, &0u32.to_be_bytes())?;
                let must = |fact: Option<Vec<u8>>| {
                    fact.ok_or_else(|| StoreError::corrupt("a fact of the installation is gone"))
                };
                let check = must(tx.installation(CHECK_VALUE)?)?;
                let epoch = must(tx.installation(EPOCH)?)?;
                Ok::<_, Failure>((check, epoch, tx.installation(PUBLIC_URLS)?, tx.people_exist()?))
            })
            .await?;
        let (check, epoch, stored_urls, configured) = facts;
        if !opening.keyring.matches_check_value(&check) {
            return Err(OpenError::WrongMasterKey);
        }
        trail::begin(opening.store, opening.keyring).await.map_err(Failure::from)?;
        let epoch =
            epoch.try_into().map(u32::from_be_bytes).map_err(|_| Failure::internal("epoch is corrupt"))?;
        let (tls, now) = (Arc::new(opening.tls), opening.clock.now());
        let keys = server_keys::open(opening.store, keyring, &tls, epoch, now).await?;
        let stored: Option<Vec<Url>> = match stored_urls {
            Some(json) => Some(serde_json::from_slice(&json).map_err(Failure::internal)?),
            None => None,
        };
        let urls = if opening.given_urls.is_empty() {
            stored.unwrap_or(opening.default_urls)
        } else {
            opening.given_urls
        };
        let setup_code = (!configured).then(|| new_setup_code(opening.entropy));
        Ok(Self {
            instruction_keys: RwLock::new(Arc::new(keys)),
            epoch,
            tls,
            loopback_urls: opening.loopback_urls,
            public_urls: RwLock::new(urls),
            setup_code_file: opening.setup_code_file,
            setup_code: RwLock::new(setup_code),
        })
    }

    /// Where machines reach this server, best first.
    pub fn public_urls(&self) -> Vec<Url> {
        self.public_urls.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Thumbprint of the key that signs instructions.
    pub fn instruction_thumbprint(&self) -> KeyThumbprint {
        self.instruction_keys().current()
    }

    /// The keys that sign instructions, as they stood when they were last read.
    pub fn instruction_keys(&self) -> Arc<InstructionKeys> {
        Arc::clone(&self.instruction_keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the keys that sign instructions again, after they changed.
    pub async fn read_keys_again(
        &self,
        store: &Store,
        keyring: &Arc<Keyring>,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let keys = server_keys::open(store, keyring, &self.tls, self.epoch, now).await?;
        *self.instruction_keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        Ok(())
    }

    /// The one-time setup code, to be shown on the machine; `None` once the first admin exists.
    pub fn setup_code(&self) -> Option<SecretString> {
        self.setup_code.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether `code` is the setup code; dashes, spaces and case do not count.
    pub fn is_setup_code(&self, code: &str) -> bool {
        let Some(expected) = self.setup_code() else { return false };
        bool::from(plain_code(code).as_bytes().ct_eq(plain_code(expected.expose_secret()).as_bytes()))
    }

    /// Forgets the setup code, removes its file and takes the stored public URLs: the first admin exists.
    pub fn close_setup(&self, public_urls: Vec<Url>) {
        if !public_urls.is_empty() {
            *self.public_urls.write().unwrap_or_else(PoisonError::into_inner) = public_urls;
        }
        *self.setup_code.write().unwrap_or_else(PoisonError::into_inner) = None;
        match std::fs::remove_file(&self.setup_code_file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "the file of the used setup code cannot be removed");
            }
            _ => {}
        }
    }
}

/// Whether a database was made with this master key; one that holds nothing was not.
pub(crate) async fn is_master_key_of(store: &Store, keyring: &Keyring) -> Result<bool, StoreError> {
    let check = store.read(|tx| tx.installation(CHECK_VALUE)).await?;
    Ok(check.is_some_and(|check| keyring.matches_check_value(&check)))
}

/// Whether machines can use a URL: they speak TLS but to their own machine, and a proof names the URL without user,
/// query and fragment.
pub fn is_public_url(url: &Url) -> bool {
    let is_loopback = match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => return false,
    };
    let is_bare = url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    is_bare && (url.scheme() == "https" || (url.scheme() == "http" && is_loopback))
}

/// Stores the public URLs, in the transaction of the setup.
pub fn store_public_urls(tx: &mut Tx<'_>, urls: &[Url]) -> Result<(), Failure> {
    let json = serde_json::to_vec(urls).map_err(Failure::internal)?;
    tx.installation_insert(PUBLIC_URLS, &json)?;
    Ok(())
}

/// Returns a code as it is compared: dashes, spaces and case do not count.
pub(crate) fn plain_code(code: &str) -> String {
    code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
}

fn new_setup_code(entropy: &Entropy) -> SecretString {
    SecretString::from(four_groups(entropy.bytes()))
}

/// Writes 80 random bits as four groups of four Crockford base32 characters.
pub(crate) fn four_groups(bytes: [u8; 16]) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let chars: Vec<char> = bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
    let groups: Vec<String> = chars.chunks(4).map(|group| group.iter().collect()).collect();
    groups.join("-")
}
