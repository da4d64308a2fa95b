//! What the README says is so: its metrics are on the page, its flags and commands in the help, its keys in the config.

#[path = "shared/page.rs"]
mod page;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clumio_exporter::config::WebConfig;
use page::{Family, families, page};

/// Flags in the README that belong to other programs.
const FOREIGN_FLAGS: [&str; 14] = [
    "--build",
    "--cap-drop",
    "--file",
    "--from-file",
    "--kustomize",
    "--mode",
    "--namespace",
    "--now",
    "--publish",
    "--read-only",
    "--release",
    "--rm",
    "--tag",
    "--values",
];

#[test]
fn the_tables_of_metrics_are_the_page() {
    let mut documented = BTreeMap::new();
    for (family, cells) in rows(&readme()) {
        if let [kind, labels, meaning] = &cells[..] {
            assert!(!meaning.is_empty(), "{family} has no meaning");
            let labels = code(labels).into_iter().map(str::to_owned).collect();
            documented.insert(family, Family { kind: kind.clone(), labels });
        }
    }
    let mut published = families(&page());
    // The table names these together: they are those of every exporter.
    published.retain(|name, _| !name.starts_with("process_"));
    assert_eq!(documented, published);
}

#[test]
fn every_metric_in_the_documents_is_on_the_page() {
    let families = families(&page());
    let documents = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "config/clumio-exporter.toml"];
    for document in documents.map(str::to_owned).into_iter().chain(deployed()) {
        for word in words(&read(&document)).filter(|word| word.starts_with("clumio_")) {
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| word.strip_suffix(suffix));
            let is_crate = word == "clumio_exporter";
            let is_known = families.contains_key(word) || family.is_some_and(|it| families.contains_key(it));
            assert!(is_known || is_crate, "{document}: {word}");
        }
    }
}

#[test]
fn the_alerts_are_documented_with_their_severities() {
    let rules = read("deploy/prometheus/clumio-rules.yml");
    let mut severities = BTreeMap::<_, Vec<_>>::new();
    for alert in rules.split("- alert: ").skip(1) {
        let name = alert.lines().next().unwrap_or_default().to_owned();
        let severity = alert.split("severity: ").nth(1).and_then(|rest| rest.split_whitespace().next());
        severities.entry(name).or_default().push(severity.expect("an alert must have a severity"));
    }
    let severities: BTreeMap<_, _> =
        severities.into_iter().map(|(name, list)| (name, list.join(", "))).collect();
    let documented: BTreeMap<_, _> = rows_of_alerts(&read("deploy/prometheus/README.md")).collect();
    assert_eq!(documented.keys().collect::<Vec<_>>(), severities.keys().collect::<Vec<_>>());
    let (reference, readme) = (read("deploy/prometheus/README.md"), readme());
    assert_eq!(rows_of_alerts(&readme).count(), 5, "the README must have the most important alerts");
    for (name, severity) in rows_of_alerts(&reference).chain(rows_of_alerts(&readme)) {
        assert_eq!(severities.get(&name), Some(&severity), "{name}");
    }
}

#[test]
fn the_readme_and_the_help_have_the_same_flags() {
    let help = everything_in_the_help();
    let readme = readme();
    let (in_help, in_readme) = (flags(&help), flags(&readme));
    for flag in in_readme.iter().filter(|flag| !FOREIGN_FLAGS.contains(flag)) {
        assert!(in_help.contains(flag), "the program does not know {flag}");
    }
    for flag in in_help {
        assert!(in_readme.contains(flag) || flag == "--help", "the README does not tell of {flag}");
    }
}

#[test]
fn the_readme_and_the_help_have_the_same_commands() {
    let readme = readme();
    let calls = readme.split("clumio-exporter ").skip(1).filter_map(|rest| {
        let word = rest.split(|c: char| !c.is_ascii_lowercase()).next()?;
        rest[word.len()..].starts_with(['\n', '`', ' ']).then_some(word)
    });
    let in_readme: BTreeSet<_> = calls.filter(|word| !word.is_empty()).collect();
    let help = help(&[]);
    let in_help: BTreeSet<_> = commands(&help).collect();
    assert_eq!(
        in_readme, in_help,
        "write a call of a command, and nothing else, as `clumio-exporter COMMAND`"
    );
}

#[test]
fn the_readme_has_every_fault_of_the_simulator() {
    let (readme, help) = (readme(), help(&["simulate"]));
    let list = help.split("--fault <").nth(1).and_then(|rest| rest.split("\n      --").next());
    // Below two lines of text and an empty one.
    let faults = list.unwrap_or_default().lines().skip(3).filter_map(|line| line.split_whitespace().next());
    let faults: Vec<_> = faults.collect();
    assert!(faults.contains(&"throttle"), "{faults:?}");
    for fault in faults {
        assert!(readme.contains(&format!("`{fault}`")), "{fault}");
    }
}

#[test]
fn every_key_in_the_readme_is_in_the_config() {
    let keys = keys();
    assert!(keys.contains("poll.interval") && keys.contains("accounts.token_file"), "{keys:?}");
    let tables: BTreeSet<_> = keys.iter().filter_map(|key| key.split('.').next()).collect();
    // What is in the metrics, and the fields, words and parameters of the pages' data.
    let told = page()
        + &["account", "assets", "mod", "numbers", "problem", "tasks", "verdict"]
            .map(|it| read(&format!("src/report/{it}.rs")))
            .concat()
        + &read("src/http/parameters.rs");
    for word in code(&readme()) {
        let key = word.split([' ', '=']).next().unwrap_or_default();
        if let Some((table, _)) = key.split_once('.').filter(|(table, _)| tables.contains(table)) {
            assert!(keys.contains(key), "{key} is no key of [{table}]");
        } else if is_snake_case(key) {
            let is_key = tables.iter().any(|table| keys.contains(&format!("{table}.{key}")));
            assert!(is_key || words(&told).any(|it| it == key), "{key} is no key, and told nowhere");
        }
    }
    for variable in words(&readme()).filter_map(|word| word.strip_prefix("CLUMIO_EXPORTER__")) {
        let key = variable.to_lowercase().replacen("__", ".", 1);
        assert!(keys.contains(&key), "CLUMIO_EXPORTER__{variable} sets no key");
    }
}

#[test]
fn the_links_of_the_documents_lead_somewhere() {
    for document in [
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "deploy/prometheus/README.md",
        "deploy/prometheus/RUNBOOK.md",
    ] {
        let text = read(document);
        let folder = Path::new(document).parent().expect("a document must be in a folder");
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            if path.contains("://") {
                continue;
            }
            let path = if path.is_empty() { PathBuf::from(document) } else { folder.join(path) };
            assert!(root().join(&path).exists(), "{document} links to {target}");
            let is_heading = anchor.is_empty()
                || headings(&read(&path.display().to_string())).any(|heading| heading == anchor);
            assert!(is_heading, "{document} links to {target}");
        }
    }
}

#[test]
fn the_snippets_of_the_readmes_are_valid() {
    let text = readme() + &read("deploy/prometheus/README.md");
    let snippets: Vec<_> =
        text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(snippets.len(), 4);
    for snippet in snippets {
        if snippet.starts_with("tls_server_config:") {
            // promtool wants its files to be there.
            assert_eq!(WebConfig::parse(snippet, Path::new("web.yml")).err(), None);
            continue;
        }
        let folder = tempfile::tempdir().expect("a folder must be created");
        let rules = read("deploy/prometheus/clumio-rules.yml");
        fs::write(folder.path().join("clumio-rules.yml"), rules).expect("the rules must be written");
        let file = folder.path().join("snippet.yml");
        fs::write(&file, snippet).expect("the snippet must be written");
        assert_succeeds(Command::new("promtool").args(["check", "config"]).arg(file));
    }
}

/// As users replace the URL of the runbook in the file.
#[test]
fn the_command_that_replaces_the_runbook_replaces_every_url() {
    let readme = read("deploy/prometheus/README.md");
    let command = readme.lines().find(|line| line.starts_with("sed -i ")).expect("the README must have it");
    let folder = tempfile::tempdir().expect("a folder must be created");
    let file = folder.path().join("clumio-rules.yml");
    fs::write(&file, read("deploy/prometheus/clumio-rules.yml")).expect("the rules must be written");
    assert_succeeds(Command::new("sh").args(["-c", command]).current_dir(folder.path()));
    let replaced = fs::read_to_string(file).expect("the rules must be readable");
    let urls: Vec<_> = replaced.lines().filter_map(|line| line.split_once("runbook_url: ")).collect();
    let is_replaced =
        |url: &str| url.contains("https://wiki.example.com/clumio#clumio") || url.starts_with('*');
    assert!(urls.iter().all(|(_, url)| is_replaced(url)), "{urls:?}");
    assert!(!replaced.contains("RUNBOOK.md#"), "{replaced}");
}

fn assert_succeeds(command: &mut Command) {
    let output = command.output().expect("the program must be installed, as tests/run does");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(document: &str) -> String {
    fs::read_to_string(root().join(document)).expect("the document must be readable")
}

/// What is to be installed beside the exporter: every file of text below `deploy`.
fn deployed() -> Vec<String> {
    let mut folders = vec![root().join("deploy")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the folder must be readable") {
            let path = entry.expect("the folder must be readable").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let path = path.strip_prefix(root()).expect("it must be below the root");
                files.push(path.display().to_string());
            }
        }
    }
    assert!(!files.is_empty(), "nothing is deployed");
    files
}

fn readme() -> String {
    read("README.md")
}

/// The rows of tables whose first cell is the name of an alert: that name and the next cell, the severity.
fn rows_of_alerts(text: &str) -> impl Iterator<Item = (String, String)> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `Clumio")?.split_once("` | "));
    rows.filter_map(|(name, rest)| Some((format!("Clumio{name}"), rest.split_once(" | ")?.0.to_owned())))
}

/// The rows of tables whose first cell is the name of a metric: that name, and the other cells.
fn rows(text: &str) -> impl Iterator<Item = (String, Vec<String>)> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `clumio_")?.strip_suffix(" |"));
    rows.filter_map(|row| {
        let mut cells = row.split(" | ").map(str::to_owned);
        let name = cells.next()?;
        Some((format!("clumio_{}", name.strip_suffix('`')?), cells.collect()))
    })
}

/// What is written as code within a line.
fn code(text: &str) -> Vec<&str> {
    let blocks = text.split("```").step_by(2);
    blocks.flat_map(|prose| prose.split('`').skip(1).step_by(2)).collect()
}

/// Names, as metrics, keys and variables are written.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

fn is_snake_case(word: &str) -> bool {
    word.contains('_') && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn flags(text: &str) -> BTreeSet<&str> {
    let is_flag_byte = |c: char| c.is_ascii_lowercase() || c == '-' || c == '.';
    let words = text.split(|c: char| !is_flag_byte(c)).map(|word| word.trim_end_matches('.'));
    words.filter(|word| word.starts_with("--") && word.len() > 2 && !word.starts_with("---")).collect()
}

fn help(command: &[&str]) -> String {
    let program = env!("CARGO_BIN_EXE_clumio-exporter");
    let output = Command::new(program).args(command).arg("--help").output().expect("the program must start");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("the help must be text")
}

/// The names in the list of commands.
fn commands(help: &str) -> impl Iterator<Item = &str> {
    let list = help.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next());
    list.unwrap_or_default().lines().filter_map(|line| line.split_whitespace().next())
}

fn everything_in_the_help() -> String {
    let mut text = help(&[]);
    let names: Vec<String> = commands(&text).map(str::to_owned).collect();
    for name in names {
        text.push_str(&help(&[&name]));
    }
    text
}

/// Every key of the config file that shows all of them, commented out or not, as `table.key`.
fn keys() -> BTreeSet<String> {
    let mut table = "";
    let mut keys = BTreeSet::new();
    let config = read("config/clumio-exporter.toml");
    for line in config.lines() {
        if line.starts_with('[') {
            table = line.trim_matches(['[', ']']);
        } else if let Some((key, _)) = line.trim_start_matches("# ").split_once(" = ") {
            keys.insert(format!("{table}.{key}"));
        }
    }
    keys
}

/// The anchors of the headings of a document.
fn headings(text: &str) -> impl Iterator<Item = String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        words
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
            .collect::<String>()
            .replace(' ', "-")
    })
}
