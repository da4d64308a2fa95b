//! Tokens that change under a running exporter: secrets that Kubernetes swaps, tokens that the API revokes, and files
//! that are gone for a moment.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use clumio_exporter::simulator::Endpoint;

use crate::harness::{ACCOUNT, Api, Config, Exporter, FAST};
use crate::page::Page;
use crate::process::TOKEN;
use crate::truth::FAMILIES;

/// As long as [`TOKEN`], so that the size of the file does not tell the two apart.
const NEXT: &str = "s3cret-of-the-end-to-end-runs!";

/// A secret as a kubelet mounts it: the file is a link into `..data`, which is a link to the folder of one version.
struct Volume {
    folder: PathBuf,
    version: u32,
}

// === impl Volume ===

impl Volume {
    fn mounted(config: &Config, token: &str) -> Self {
        let mut volume = Self { folder: config.path().join("volume"), version: 0 };
        fs::create_dir(&volume.folder).expect("a folder must be made");
        symlink("..data/token", volume.token_file()).expect("a link must be made");
        volume.swap(token);
        volume
    }

    fn token_file(&self) -> PathBuf {
        self.folder.join("token")
    }

    /// Puts another token in the place of the one that is there: a new folder, a new link to it that is renamed over
    /// the old one, and the old folder goes.
    fn swap(&mut self, token: &str) {
        let older = self.folder.join(Self::folder_of(self.version));
        self.version += 1;
        let newer = Self::folder_of(self.version);
        fs::create_dir(self.folder.join(&newer)).expect("a folder must be made");
        fs::write(self.folder.join(&newer).join("token"), token).expect("the token must be written");
        let link = self.folder.join("..data_tmp");
        symlink(&newer, &link).expect("a link must be made");
        fs::rename(&link, self.folder.join("..data")).expect("the link must be swapped");
        if self.version > 1 {
            fs::remove_dir_all(older).expect("the old folder must go");
        }
    }

    fn folder_of(version: u32) -> String {
        format!("..2026_11_23_12_00_{version:02}.123456789")
    }
}

/// The exporter, following `api` with the token of a volume, after its first polls.
async fn mounted(api: &Api) -> (Exporter, Volume) {
    let config = Config::new(FAST);
    let volume = Volume::mounted(&config, TOKEN);
    let config = config.account_with(ACCOUNT, &api.url(), &volume.token_file());
    let exporter = Exporter::start(config).await;
    assert!(exporter.polls(ACCOUNT, 1).await.is_up(ACCOUNT));
    (exporter, volume)
}

fn assert_none_failed(page: &Page) {
    assert!(page.failed(ACCOUNT) < 1.0, "{}", page.counted("clumio_exporter_poll_failures_total"));
}

/// How many requests with a wrong token there were since this was last asked.
fn refused(api: &Api) -> u64 {
    api.simulator.take_requests().answered(Endpoint::List, 401)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mounted_secret_that_is_swapped_is_used_before_the_old_token_is_refused() {
    let api = Api::resting().await;
    let (exporter, mut volume) = mounted(&api).await;
    api.simulator.issue_token(NEXT);
    volume.swap(NEXT);
    exporter.polls(ACCOUNT, 1).await;
    api.simulator.revoke_token(TOKEN);
    assert_none_failed(&exporter.polls(ACCOUNT, 2).await);
    assert_eq!(refused(&api), 0, "the old token was sent after the new one could be read");
    assert!(!exporter.stop().await.stderr.contains(NEXT));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_revoked_as_its_secret_is_swapped_fails_no_poll() {
    let api = Api::resting().await;
    let (exporter, mut volume) = mounted(&api).await;
    let mut older = TOKEN.to_owned();
    for version in 1..=3 {
        let newer = format!("{NEXT}{version}");
        api.simulator.issue_token(&newer);
        volume.swap(&newer);
        api.simulator.revoke_token(&older);
        older = newer;
        exporter.polls(ACCOUNT, 1).await;
        // A request that was under way may have been refused; from here on none is.
        refused(&api);
        assert_none_failed(&exporter.polls(ACCOUNT, 1).await);
        assert_eq!(refused(&api), 0, "the old token was sent again");
    }
    assert!(!exporter.stop().await.stderr.contains(NEXT));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_revoked_before_its_file_changes_fails_polls_until_the_new_one_is_there() {
    let api = Api::resting().await;
    let exporter = Exporter::following(&api, FAST).await;
    let before = exporter.polls(ACCOUNT, 1).await;
    assert_eq!(refused(&api), 0);
    api.simulator.revoke_token(TOKEN);
    let during =
        exporter.until("polls fail again and again", |page| page.failures(ACCOUNT, "auth") >= 2.0).await;
    assert!(!during.is_up(ACCOUNT));
    assert_eq!(during.families(&FAMILIES), before.families(&FAMILIES));
    api.simulator.issue_token(NEXT);
    exporter.config.write_token(ACCOUNT, NEXT);
    let after = exporter.until("the new token is taken", |page| page.is_up(ACCOUNT)).await;
    assert_eq!(after.families(&FAMILIES), before.families(&FAMILIES));
    let after = exporter.polls(ACCOUNT, 1).await;
    let failed = after.failures(ACCOUNT, "auth");
    assert_eq!(after.failed(ACCOUNT).to_bits(), failed.to_bits(), "{}", after.text);
    // Two requests for each poll that failed: with the token as it was, and with the file read again. A poll that was
    // under way as the file changed may have been refused once and then have succeeded.
    let refused = refused(&api) as f64 - 2.0 * failed;
    assert!((0.0..=1.0).contains(&refused), "{refused} requests more than two a poll were refused");
    assert!(!exporter.stop().await.stderr.contains(NEXT));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_file_that_is_gone_for_a_moment_is_not_missed() {
    let api = Api::resting().await;
    let exporter = Exporter::following(&api, FAST).await;
    assert!(exporter.polls(ACCOUNT, 1).await.is_up(ACCOUNT));
    fs::remove_file(exporter.config.token_file(ACCOUNT)).expect("the token must be removed");
    assert_none_failed(&exporter.polls(ACCOUNT, 2).await);
    api.simulator.issue_token(NEXT);
    exporter.config.write_token(ACCOUNT, NEXT);
    exporter.polls(ACCOUNT, 1).await;
    api.simulator.revoke_token(TOKEN);
    assert_none_failed(&exporter.polls(ACCOUNT, 2).await);
    assert_eq!(refused(&api), 0);
    let log = exporter.stop().await.stderr;
    assert_eq!(log.matches("the one read before is used").count(), 1, "{log}");
    assert!(!log.contains(NEXT));
}
