//! Files that block or never end: each is refused with its name, and nothing waits for it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::harness::{ACCOUNT, Api, Config, DEADLINE, Exporter, FAST};
use super::process::{Ended, Process, binary};

fn pipe(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().expect("mkfifo must start");
    assert!(made.success());
}

async fn refused(command: Command, file: &Path) -> Ended {
    let ended = Process::start(command).ended(DEADLINE).await;
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.stderr.contains(&file.display().to_string()), "{ended:?}");
    assert!(ended.stderr.contains("not a regular file"), "{ended:?}");
    ended
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_blocks_or_never_ends_is_refused() {
    let folder = tempfile::tempdir().expect("there must be a folder");
    let [fifo, endless] = ["fifo.toml", "endless.toml"].map(|name| folder.path().join(name));
    pipe(&fifo);
    symlink("/dev/zero", &endless).expect("the link must be made");
    for file in [fifo, endless] {
        for command in ["", "check", "once"] {
            let mut arguments = vec!["--config.file", file.to_str().expect("the path must be text")];
            arguments.extend((!command.is_empty()).then_some(command));
            refused(binary(&arguments), &file).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_of_a_pipe_is_refused_and_the_next_reload_works() {
    let api = Api::resting().await;
    let exporter = Exporter::following(&api, FAST).await;
    let file = exporter.config.file();
    fs::remove_file(&file).expect("the file must be there");
    pipe(&file);
    exporter.process.signal("HUP");
    let is_refused = |log: &str| log.contains("the configuration was refused").then_some(());
    exporter.process.says("it is refused", is_refused).await;
    fs::remove_file(&file).expect("the pipe must be there");
    assert!(exporter.reload().await);
    exporter.polls(ACCOUNT, 1).await;
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_config_and_a_certificate_that_block_are_refused() {
    let api = Api::resting().await;
    let with = |keys: &str| Config::following(&api, &format!("{FAST}{keys}"));
    let config = with("web.config_file = \"web.yml\"\n");
    let web = config.path().join("web.yml");
    pipe(&web);
    refused(config.command(), &web).await;

    fs::remove_file(&web).expect("the pipe must be there");
    let key = config.path().join("key.pem");
    pipe(&key);
    fs::write(&web, "tls_server_config:\n  cert_file: key.pem\n  key_file: key.pem\n")
        .expect("it must be written");
    refused(config.command(), &key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn state_that_blocks_is_refused() {
    let api = Api::resting().await;
    for name in ["lock", "replica.db", "replica.db-wal"] {
        let config = Config::following(&api, &format!("{FAST}state.directory = \"state\"\n"));
        let directory = config.path().join("state");
        fs::create_dir(&directory).expect("the directory must be made");
        let file: PathBuf = directory.join(name);
        pipe(&file);
        refused(config.command(), &file).await;
    }
}
