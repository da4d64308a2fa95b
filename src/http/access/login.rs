//! Login by name and password (RFC 7617), against bcrypt hashes.
//!
//! A hash takes long by design, so verified passwords are remembered, and a user who is logged in never waits for a hash.
//! Hashes are computed one at a time, and addresses take turns ([`login_queue`](super::login_queue)). After a failed login,
//! an address pauses before its next one. A name that no user has costs what a user's name does.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use ring::rand::SystemRandom;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::login_queue::{LoginQueue, LoginTurn};
use crate::config::PasswordHash;

/// How long an address waits after a failed login. With hashes of the usual cost, a full queue still ends within a scrape's
/// timeout.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(400);

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
    queue: Arc<LoginQueue>,
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
        Self { users, key, verified: Mutex::default(), queue: LoginQueue::new() }
    }

    /// The login of other users, with what is remembered: it counts for names whose hash stays the same.
    pub(super) fn with_users(&self, users: BTreeMap<String, PasswordHash>) -> Self {
        let verified = Mutex::new(self.verified().clone());
        Self { users, key: self.key.clone(), verified, queue: LoginQueue::new() }
    }

    pub(super) fn is_for(&self, users: &BTreeMap<String, PasswordHash>) -> bool {
        self.users == *users
    }

    /// Lets in who has a name and its password.
    pub(super) async fn admit(&self, headers: &HeaderMap, source: IpAddr) -> Result<(), Refusal> {
        let (name, password) = credentials(headers).ok_or(Refusal::Denied)?;
        let user = std::str::from_utf8(&name).ok().and_then(|name| self.users.get(name));
        let hash = user.map_or_else(|| self.hash_of_nobody(&name), |hash| hash.as_str().to_owned());
        let mac = self.mac(&[&name, hash.as_bytes(), &password]);
        if self.verified().contains(&mac) {
            return Ok(());
        }
        if !self.verify(user.is_some(), (hash, password, mac), source).await? {
            return Err(Refusal::Denied);
        }
        let mut verified = self.verified();
        if verified.len() >= MOST_VERIFIED {
            verified.clear();
        }
        verified.insert(mac);
        Ok(())
    }

    /// Whether it is a user's name, and the password has this hash, when it is its turn.
    async fn verify(
        &self,
        is_user: bool,
        (hash, password, mac): (String, Vec<u8>, Mac),
        source: IpAddr,
    ) -> Result<bool, Refusal> {
        let waiting = self.queue.wait(source).ok_or(Refusal::Busy)?;
        let LoginTurn { all, own } = waiting.turn().await;
        // The one before may have been the same: Prometheus asks for several pages at once.
        if self.verified().contains(&mac) {
            return Ok(true);
        }
        // It continues when the client goes away: the next hash begins only after this one.
        let verified = tokio::spawn(async move {
            let verify = move || is_user & bcrypt::verify(password, &hash).unwrap_or(false);
            let is_right = spawn_blocking(verify).await.unwrap_or(false);
            drop(all);
            if !is_right {
                tokio::spawn(async move {
                    sleep(PAUSE_AFTER_FAILURE).await;
                    // The queue of the address is removed with its last login.
                    drop((own, waiting));
                });
            }
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
    use std::net::Ipv4Addr;

    use tokio::time::Instant;

    use super::super::login_queue::MAX_WAITING;
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

    const PROMETHEUS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    const GUESSER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

    #[tokio::test(start_paused = true)]
    async fn only_the_right_password_of_a_user_is_let_in_and_it_alone_is_remembered() {
        let login = login();
        for wrong in ["ann:wrong", "bob:right", "ann:", ":right", "ann", "Ann:right"] {
            assert_eq!(login.admit(&with(wrong), PROMETHEUS).await, Err(Refusal::Denied), "{wrong}");
        }
        assert_eq!(login.admit(&HeaderMap::new(), PROMETHEUS).await, Err(Refusal::Denied));
        assert_eq!(login.verified().len(), 0);
        assert_eq!(login.admit(&with("ann:right"), PROMETHEUS).await, Ok(()));
        assert_eq!(login.admit(&with("ann:right"), PROMETHEUS).await, Ok(()));
        assert_eq!(login.verified().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_pauses_after_each_failure() {
        let (login, begin) = (login(), Instant::now());
        for _ in 0..5 {
            assert_eq!(login.admit(&with("ann:wrong"), GUESSER).await, Err(Refusal::Denied));
        }
        assert!(begin.elapsed() >= 4 * PAUSE_AFTER_FAILURE, "{:?}", begin.elapsed());
        let begin = Instant::now();
        assert_eq!(login.admit(&with("ann:right"), PROMETHEUS).await, Ok(()));
        assert!(begin.elapsed() < PAUSE_AFTER_FAILURE, "another address does not wait");
    }

    #[tokio::test]
    async fn a_client_that_guesses_keeps_nobody_out() {
        let login = Arc::new(login());
        let turn = login.queue.of_all().acquire().await.expect("it must be free");
        let guess = |number| {
            let login = Arc::clone(&login);
            tokio::spawn(async move { login.admit(&with(&format!("ann:{number}")), GUESSER).await })
        };
        let guesses: Vec<_> = (0..2 * MAX_WAITING).map(guess).collect();
        tokio::task::yield_now().await;
        let prometheus = {
            let login = Arc::clone(&login);
            tokio::spawn(async move { login.admit(&with("ann:right"), PROMETHEUS).await })
        };
        tokio::task::yield_now().await;
        drop(turn);
        assert_eq!(prometheus.await.expect("it must not panic"), Ok(()));
        // Those that were turned away have ended; of the others one at most, before that.
        let ended = guesses.iter().filter(|guess| guess.is_finished()).count();
        assert!((MAX_WAITING..=MAX_WAITING + 1).contains(&ended), "{ended}");
        assert_eq!(
            login.admit(&with("ann:right"), GUESSER).await,
            Ok(()),
            "a user who is logged in does not wait"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn other_users_change_nothing_for_those_who_are_logged_in() {
        let login = login();
        assert_eq!(login.admit(&with("ann:right"), PROMETHEUS).await, Ok(()));
        let mut users = login.users.clone();
        users.insert("bob".to_owned(), users["ann"].clone());
        let more = login.with_users(users);
        let _turn = more.queue.of_all().acquire().await.expect("it must be free");
        assert_eq!(more.admit(&with("ann:right"), PROMETHEUS).await, Ok(()));
        let fewer = more.with_users(BTreeMap::new());
        assert_eq!(fewer.users.len(), 0);
    }

    #[test]
    fn a_name_that_nobody_has_is_compared_with_a_whole_hash_of_the_same_cost() {
        let hash: bcrypt::HashParts = login().hash_of_nobody(b"x").parse().expect("it must be a hash");
        assert_eq!(hash.get_cost(), 4);
    }
}
