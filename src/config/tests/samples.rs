//! The files below `config/`: they load, and the long one shows every key with the default that the code has.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use config::{FileFormat, Format, Value, ValueKind};

use super::super::error::Problems;
use super::super::{Environment, Flags, load, read};
use super::{file, no_variables};

const SAMPLE: &str = "clumio-exporter.toml";

/// The keys that have no default, or one that depends on other keys, so that the sample shows only an example.
const EXAMPLES: [&str; 8] = [
    "external_url",
    "token_env",
    "organizational_unit",
    "ca_file",
    "config_file",
    "directory",
    "retention",
    "objectives",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}

/// The sample with its `# key = value` lines made active, but those of `without`.
fn uncommented(without: &[&str]) -> String {
    let text = fs::read_to_string(folder().join(SAMPLE)).expect("the sample must be readable");
    let lines = text.lines().map(|line| {
        let key = line.strip_prefix("# ").and_then(|rest| Some((rest, rest.split_once(" = ")?.0)));
        match key {
            Some((active, key)) if is_key(key) && !without.contains(&key) => active,
            _ => line,
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn is_key(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// The keys of a document as the set of known ones names them.
fn keys(value: &Value, path: &str, into: &mut BTreeSet<String>) {
    match &value.kind {
        ValueKind::Table(table) => {
            for (key, value) in table {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                into.insert(path.clone());
                keys(value, &path, into);
            }
        }
        ValueKind::Array(list) => list.iter().for_each(|value| keys(value, path, into)),
        _ => {}
    }
}

#[test]
fn every_sample_loads() {
    let mut count = 0;
    for entry in fs::read_dir(folder()).expect("the folder must be readable") {
        let path = entry.expect("the entry must be readable").path();
        if path.extension().is_some_and(|extension| extension == "yml") {
            continue;
        }
        let flags = Flags { config_file: Some(path.clone()), ..Flags::default() };
        if let Err(error) = load(&flags, &no_variables()) {
            panic!("{error}");
        }
        count += 1;
    }
    assert!(count >= 3, "the samples must be found");
}

#[test]
fn the_sample_shows_the_defaults() {
    let shown = file(&uncommented(&EXAMPLES)).settings();
    let minimal = fs::read_to_string(folder().join("minimal.toml")).expect("the file must be readable");
    assert_eq!(shown, file(&minimal).settings());
}

#[test]
fn the_sample_has_every_key_and_no_other() {
    let text = uncommented(&[]);
    let document = FileFormat::Toml.parse(None, &text).expect("the sample must be TOML");
    let mut shown = BTreeSet::new();
    keys(&Value::new(None, ValueKind::Table(document)), "", &mut shown);

    let flags = Flags { config_file: Some(folder().join(SAMPLE)), ..Flags::default() };
    let mut problems = Problems::default();
    read(&flags, &Environment::default(), &mut problems);
    assert_eq!(&shown, problems.known());
}
