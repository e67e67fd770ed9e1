//! The keys of a host while one takes the place of the other (DESIGN §2, §3).
//!
//! The next key is on disk before anybody hears of it, and tried first from then on. Whoever stands in for the server can
//! take any key, refuse any, and welcome any: none of that is signed. So the former key stays beside the one that is to
//! take its place, with its generation, until a signature shows that the server took that one: a statement said to it, or
//! one that the former is void. The key a copy made itself is held beside the one it was copied with in the same way.

#[cfg(test)]
mod tests;

use std::rc::Rc;

use muster_ids::{HostId, KeyName, KeyThumbprint};
use muster_proof::HostKey;
use muster_proof::instruction::Revoked;

use crate::enroll;
use crate::error::AgentError;
use crate::state::{IdentityState, StateDir, StateError, StateView};

/// The keys a host holds.
#[derive(Debug, Clone)]
pub struct Keys {
    current: Rc<HostKey>,
    next: Option<NextKey>,
    /// Whether the key in use is one that a copy made itself, and not proved yet.
    is_of_copy: bool,
}

#[derive(Debug, Clone)]
struct NextKey {
    key: Rc<HostKey>,
    /// Whether the server ever showed that it knows it: before that it cannot have taken the place of the other.
    is_known: bool,
}

/// A key to open the channel with.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// The key.
    pub key: Rc<HostKey>,
    /// Which of those that are held.
    pub place: Place,
}

/// The place of a key among those a machine holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It is the host's.
    Host,
    /// It is to take the place of the host's.
    Next,
    /// A copy made it itself, and the key it was copied with is still there.
    Copy,
}

impl Place {
    /// Whether a signature showed that the server took the key.
    pub const fn is_proved(self) -> bool {
        matches!(self, Self::Host)
    }
}

/// What a genuine `revoked` leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remaining {
    /// Everything: it names another key or another host.
    Both,
    /// The key in use: the next one was void and is gone.
    Current,
    /// The next one, which is the key in use now: the former one was void and is gone.
    Next,
    /// Nothing: the credential is void.
    Nothing,
}

impl Keys {
    /// Reads the keys this machine speaks with.
    pub fn of(state: &StateView, identity: &IdentityState) -> Result<Self, AgentError> {
        match state.fork_key()? {
            Some(document) if identity.copy_of().is_some() => {
                let key = HostKey::from_pkcs8(&document).map_err(|_| state.fork_key_damaged())?;
                Ok(Self { current: Rc::new(key), next: None, is_of_copy: true })
            }
            _ => Self::load(state),
        }
    }

    /// Reads the keys of the host that the state was made for.
    pub fn load(state: &StateView) -> Result<Self, AgentError> {
        let current = enroll::kept_key(state)?;
        let Some(document) = state.next_key()? else {
            return Ok(Self { current, next: None, is_of_copy: false });
        };
        let key = HostKey::from_pkcs8(&document).map_err(|_| state.next_key_damaged())?;
        let is_known = state.known_next_key()? == Some(key.thumbprint());
        let next = Some(NextKey { key: Rc::new(key), is_known });
        Ok(Self { current, next, is_of_copy: false })
    }

    /// Returns the key in use.
    pub fn current(&self) -> Rc<HostKey> {
        Rc::clone(&self.current)
    }

    /// Returns the keys to open a channel with, in the order in which they are tried.
    pub fn in_order(&self) -> Vec<Chosen> {
        let next = self.next.iter().map(|next| Chosen { key: Rc::clone(&next.key), place: Place::Next });
        let place = if self.is_of_copy { Place::Copy } else { Place::Host };
        next.chain([Chosen { key: self.current(), place }]).collect()
    }

    /// Whether the key in use is one that a copy made itself, and not proved yet.
    pub fn is_of_copy(&self) -> bool {
        self.is_of_copy
    }

    /// Makes the next key, unless there is one; on disk when this returns.
    pub fn make_next(&mut self, state: &StateDir) -> Result<Rc<HostKey>, StateError> {
        if let Some(next) = &self.next {
            return Ok(Rc::clone(&next.key));
        }
        let key = Rc::new(HostKey::generate());
        state.store_next_key(&key.to_pkcs8())?;
        self.next = Some(NextKey { key: Rc::clone(&key), is_known: false });
        Ok(key)
    }

    /// Takes the news that the server knows the next key; `false`: it is not the next one of this machine.
    pub fn next_is_known(&mut self, state: &StateDir, named: KeyThumbprint) -> Result<bool, StateError> {
        let Some(next) = self.next.as_mut().filter(|next| next.key.thumbprint() == named) else {
            return Ok(false);
        };
        if !next.is_known {
            state.store_known_next_key(named)?;
            next.is_known = true;
        }
        Ok(true)
    }

    /// Puts the next key in the place of the former one.
    pub fn promote_next(&mut self, state: &StateDir) -> Result<(), StateError> {
        if let Some(next) = self.next.clone() {
            state.promote_next_key(next.key.thumbprint())?;
            *self = Self { current: next.key, next: None, is_of_copy: false };
        }
        Ok(())
    }

    /// Puts the key a copy made itself in the place of the one it was copied with.
    pub fn promote_own(&mut self, state: &StateDir) -> Result<(), StateError> {
        if self.is_of_copy {
            state.promote_fork_key()?;
            self.is_of_copy = false;
        }
        Ok(())
    }

    fn forget_next(&mut self, state: &StateDir) -> Result<(), StateError> {
        if self.next.is_some() {
            state.forget_next_key()?;
            self.next = None;
        }
        Ok(())
    }

    /// Takes a genuine `revoked`: only the key it names is void.
    ///
    /// The next key takes over only if the server was seen to know it. One the server never knew cannot be why the key in
    /// use is void, and the server would never say of it that it is void, too.
    pub fn void(
        &mut self,
        state: &StateDir,
        host_id: Option<HostId>,
        revoked: &Revoked,
    ) -> Result<Remaining, StateError> {
        let KeyName::Pair(named) = revoked.key else { return Ok(Remaining::Both) };
        if host_id.is_some_and(|host_id| host_id != revoked.host_id) {
            return Ok(Remaining::Both);
        }
        if named == self.current.thumbprint() {
            if !self.next.as_ref().is_some_and(|next| next.is_known) {
                return Ok(Remaining::Nothing);
            }
            self.promote_next(state)?;
            return Ok(Remaining::Next);
        }
        if self.next.as_ref().is_none_or(|next| next.key.thumbprint() != named) {
            return Ok(Remaining::Both);
        }
        self.forget_next(state)?;
        Ok(Remaining::Current)
    }
}

impl Chosen {
    /// Returns the generation acknowledged last with it.
    pub fn generation(&self, state: &StateView) -> Result<Option<String>, StateError> {
        let key = self.key.thumbprint();
        if self.place.is_proved() { state.generation_of(key) } else { state.generation_of_unproved(key) }
    }

    /// Stores a generation of it, to be acknowledged afterwards.
    pub fn store_generation(&self, state: &StateDir, generation: &str) -> Result<(), StateError> {
        let key = self.key.thumbprint();
        match self.place {
            Place::Host => state.store_generation(generation, key),
            Place::Next => state.store_next_generation(generation, key),
            Place::Copy => state.store_fork_generation(generation, key),
        }
    }

    /// Forgets the generation of a key that is not proved: the server that did not take it never gave it.
    pub fn forget_generation(&self, state: &StateDir) -> Result<(), StateError> {
        match self.place {
            Place::Host => Ok(()),
            Place::Next => state.store_known_next_key(self.key.thumbprint()),
            Place::Copy => state.forget_fork_generation(),
        }
    }
}
