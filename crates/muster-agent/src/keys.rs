//! The keys of a host while one takes the place of the other (DESIGN §2, §3).
//!
//! The next key is on disk before anybody hears of it, and tried first from then on. The former one goes when the server
//! has welcomed the next, or when a genuine statement says that it is void; never because of anything else.

#[cfg(test)]
mod tests;

use std::rc::Rc;

use muster_ids::{HostId, KeyName, KeyThumbprint};
use muster_proof::HostKey;
use muster_proof::instruction::Revoked;

use crate::enroll;
use crate::error::AgentError;
use crate::state::{StateDir, StateError, StateView};

/// The keys a host holds.
#[derive(Debug, Clone)]
pub struct Keys {
    current: Rc<HostKey>,
    next: Option<NextKey>,
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
    /// Whether it is the next one.
    pub is_next: bool,
}

/// What a genuine `revoked` leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
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
    /// Reads the keys of a machine that is a host.
    pub fn load(state: &StateView) -> Result<Self, AgentError> {
        let current = enroll::kept_key(state)?;
        let Some(document) = state.next_key()? else { return Ok(Self { current, next: None }) };
        let key = HostKey::from_pkcs8(&document).map_err(|_| state.next_key_damaged())?;
        let is_known = state.known_next_key()? == Some(key.thumbprint());
        Ok(Self { current, next: Some(NextKey { key: Rc::new(key), is_known }) })
    }

    /// Returns the key in use.
    pub fn current(&self) -> Rc<HostKey> {
        Rc::clone(&self.current)
    }

    /// Returns the keys to open a channel with, in the order in which they are tried.
    pub fn in_order(&self) -> Vec<Chosen> {
        let next = self.next.iter().map(|next| Chosen { key: Rc::clone(&next.key), is_next: true });
        next.chain([Chosen { key: self.current(), is_next: false }]).collect()
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
            state.promote_next_key()?;
            *self = Self { current: next.key, next: None };
        }
        Ok(())
    }

    /// Gives the next key up: the server does not know it, and takes the key in use.
    pub fn forget_next(&mut self, state: &StateDir) -> Result<(), StateError> {
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
    ) -> Result<Left, StateError> {
        let KeyName::Pair(named) = revoked.key else { return Ok(Left::Both) };
        if host_id.is_some_and(|host_id| host_id != revoked.host_id) {
            return Ok(Left::Both);
        }
        if named == self.current.thumbprint() {
            if !self.next.as_ref().is_some_and(|next| next.is_known) {
                return Ok(Left::Nothing);
            }
            self.promote_next(state)?;
            return Ok(Left::Next);
        }
        if self.next.as_ref().is_none_or(|next| next.key.thumbprint() != named) {
            return Ok(Left::Both);
        }
        self.forget_next(state)?;
        Ok(Left::Current)
    }
}
