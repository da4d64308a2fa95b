//! Login by name and password (RFC 7617), against bcrypt hashes.
//!
//! A hash takes long by design, so what has been verified is remembered, and who is logged in never waits for those
//! who are not: hashes are computed one at a time, on a thread of their own, and only so many wait for their turn. A
//! name that nobody has costs what one that somebody has does.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use ring::rand::SystemRandom;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::config::PasswordHash;

/// How many logins may wait for their turn. At the usual cost they are through within a scrape's timeout.
const MOST_WAITING: usize = 32;

/// How many verified passwords are remembered. There is one for a user, but for those that bcrypt takes for the same.
const MOST_VERIFIED: usize = 1_024;

/// The salt and hash that a name is compared with that nobody has; no password has this hash.
const NOBODY: &str = "..............................................uuuuuu.";

/// The users, and what is known of their passwords.
pub(super) struct Login {
    users: BTreeMap<String, PasswordHash>,
    /// Of this process alone, so that nobody can compute what is remembered.
    key: hmac::Key,
    /// Name, hash and password, each set as one by `key`: no password is kept in clear.
    verified: Mutex<HashSet<Mac>>,
    waiting: Semaphore,
    turn: Arc<Semaphore>,
}

type Mac = [u8; 32];

/// Why nobody is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No name, or a wrong one, or a wrong password.
    Denied,
    /// Too many others are waiting.
    Busy,
}

// === impl Login ===

impl Login {
    pub(super) fn new(users: BTreeMap<String, PasswordHash>) -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .expect("the system must have random numbers");
        let (verified, waiting) = (Mutex::default(), Semaphore::new(MOST_WAITING));
        Self { users, key, verified, waiting, turn: Arc::new(Semaphore::new(1)) }
    }

    pub(super) fn is_for(&self, users: &BTreeMap<String, PasswordHash>) -> bool {
        self.users == *users
    }

    /// Lets in who has a name and its password.
    pub(super) async fn admit(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let (name, password) = credentials(headers).ok_or(Refusal::Denied)?;
        let user = std::str::from_utf8(&name).ok().and_then(|name| self.users.get(name));
        let hash = user.map_or_else(|| self.hash_of_nobody(&name), |hash| hash.as_str().to_owned());
        let mac = self.mac(&[&name, hash.as_bytes(), &password]);
        if self.verified().contains(&mac) {
            return Ok(());
        }
        let is_right = self.verify(hash, password, mac).await?;
        if user.is_none() || !is_right {
            return Err(Refusal::Denied);
        }
        let mut verified = self.verified();
        if verified.len() >= MOST_VERIFIED {
            verified.clear();
        }
        verified.insert(mac);
        Ok(())
    }

    /// Whether the password has this hash, when it is its turn.
    async fn verify(&self, hash: String, password: Vec<u8>, mac: Mac) -> Result<bool, Refusal> {
        let _waiting = self.waiting.try_acquire().map_err(|_| Refusal::Busy)?;
        let turn = Arc::clone(&self.turn).acquire_owned().await.map_err(|_| Refusal::Busy)?;
        // The one before may have been the same: Prometheus asks for several pages at once.
        if self.verified().contains(&mac) {
            return Ok(true);
        }
        let verified = spawn_blocking(move || {
            let is_right = bcrypt::verify(password, &hash).unwrap_or(false);
            // It is the next one's turn only now, even if whoever asked has gone.
            drop(turn);
            is_right
        });
        Ok(verified.await.unwrap_or(false))
    }

    /// A hash whose cost is that of some user, always the same for a name, so that time tells nothing.
    fn hash_of_nobody(&self, name: &[u8]) -> String {
        let draw = usize::from(self.mac(&[name])[0]) % self.users.len().max(1);
        let cost = self.users.values().nth(draw).map_or(10, PasswordHash::cost);
        format!("$2y${cost:02}${NOBODY}")
    }

    fn mac(&self, parts: &[&[u8]]) -> Mac {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let tag = context.sign();
        tag.as_ref().try_into().expect("SHA-256 must have 32 bytes")
    }

    fn verified(&self) -> MutexGuard<'_, HashSet<Mac>> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({} users)", self.users.len())
    }
}

/// The name and the password of a request, if it has them.
fn credentials(headers: &HeaderMap) -> Option<(Vec<u8>, Vec<u8>)> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = STANDARD.decode(encoded.trim()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    Some((decoded[..colon].to_vec(), decoded[colon + 1..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login() -> Login {
        let hash = bcrypt::hash("right", 4).expect("the password must be hashed");
        let text = format!("basic_auth_users:\n  ann: {hash}\n");
        let config = crate::config::WebConfig::parse(&text, std::path::Path::new("web.yml"));
        Login::new(config.expect("the file must be right").users)
    }

    fn with(name_and_password: &str) -> HeaderMap {
        let value = format!("Basic {}", STANDARD.encode(name_and_password));
        [(AUTHORIZATION, value.parse().expect("the value must be valid"))].into_iter().collect()
    }

    #[tokio::test]
    async fn only_the_right_password_of_a_user_is_let_in_and_it_alone_is_remembered() {
        let login = login();
        for wrong in ["ann:wrong", "bob:right", "ann:", ":right", "ann", "Ann:right"] {
            assert_eq!(login.admit(&with(wrong)).await, Err(Refusal::Denied), "{wrong}");
        }
        assert_eq!(login.admit(&HeaderMap::new()).await, Err(Refusal::Denied));
        assert_eq!(login.verified().len(), 0);
        assert_eq!(login.admit(&with("ann:right")).await, Ok(()));
        assert_eq!(login.admit(&with("ann:right")).await, Ok(()));
        assert_eq!(login.verified().len(), 1);
    }

    #[tokio::test]
    async fn who_is_logged_in_waits_for_nobody_and_too_many_others_are_turned_away() {
        let login = Arc::new(login());
        assert_eq!(login.admit(&with("ann:right")).await, Ok(()));
        let turn = login.turn.acquire().await.expect("it must be somebody's turn");
        let others: Vec<_> = (0..=MOST_WAITING)
            .map(|_| {
                let login = Arc::clone(&login);
                tokio::spawn(async move { login.admit(&with("ann:wrong")).await })
            })
            .collect();
        while login.waiting.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(login.admit(&with("ann:right")).await, Ok(()));
        assert_eq!(login.admit(&with("ann:other")).await, Err(Refusal::Busy));
        drop(turn);
        let mut refusals = Vec::new();
        for other in others {
            refusals.push(other.await.expect("it must not panic"));
        }
        assert_eq!(refusals.iter().filter(|it| **it == Err(Refusal::Busy)).count(), 1);
        assert!(refusals.iter().all(Result::is_err));
    }

    #[test]
    fn a_name_that_nobody_has_is_compared_with_a_whole_hash_of_the_same_cost() {
        let hash: bcrypt::HashParts = login().hash_of_nobody(b"x").parse().expect("it must be a hash");
        assert_eq!(hash.get_cost(), 4);
    }
}
