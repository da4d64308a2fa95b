//! Modules import only from those above them in the list at the top of `src/lib.rs`.

use std::fs;
use std::path::{Path, PathBuf};

/// Is beside the layers: what it may import, and what may import it.
const SIMULATOR: (&str, &[&str], &[&str]) = ("simulator", &["time"], &["cli"]);

/// Imports that the order of the layers would allow. The client does not know what its rows are for, and what is published
/// does not depend on how it was read.
const FORBIDDEN: [(&str, &[&str]); 3] =
    [("clumio", &["store"]), ("metrics", &["poll"]), ("http", &["clumio", "poll"])];

#[test]
fn modules_import_only_from_those_above_them() {
    let layers = layers();
    let mut violations = Vec::new();
    for path in sources(&root()) {
        let text = fs::read_to_string(&path).expect("the file must be text");
        let inside = path.strip_prefix(root()).expect("the path must be below src");
        violations.extend(violations_of(inside, &text, &layers));
    }
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn the_list_in_the_documentation_has_every_module_of_the_crate() {
    let mut listed = layers();
    listed.push(SIMULATOR.0.to_owned());
    listed.push("lib".to_owned());
    listed.sort();
    let entries = fs::read_dir(root()).expect("src must be readable").flatten();
    let mut modules: Vec<_> = entries.map(|entry| module(Path::new(&entry.file_name()))).collect();
    modules.sort();
    modules.dedup();
    assert_eq!(listed, modules);
}

#[test]
fn an_import_from_below_is_found() {
    for (path, text) in [
        ("time.rs", "use crate::task::Task;"),
        ("config/poll.rs", "use crate::store::Rules;"),
        ("clumio/mod.rs", "use crate::store::Store;"),
        ("metrics/account.rs", "use crate::poll::Progress;"),
        ("http/listen.rs", "fn f() -> u32 { crate::cli::main() }"),
        ("http/listen.rs", "use super::super::cli;"),
        ("http/listen.rs", "use crate::{cli, time};"),
        ("http/listen.rs", "use crate::*;"),
        ("simulator/row.rs", "use crate::task::Status;"),
        ("scheduler/mod.rs", "use crate::simulator;"),
    ] {
        assert_eq!(violations_of(Path::new(path), text, &layers()).len(), 1, "{path}: {text}");
    }
    for (path, text) in [
        ("http/mod.rs", "use crate::metrics::Exposition;"),
        ("http/listen.rs", "//! See [`crate::cli`]."),
        (
            "http/status/tests.rs",
            "use super::super::Site;\nmod tests {\n    use super::super::super::Site;\n}",
        ),
        ("cli/demo.rs", "use crate::simulator::Simulator;"),
        ("main.rs", "fn main() { clumio_exporter::cli::main() }"),
    ] {
        assert_eq!(violations_of(Path::new(path), text, &layers()), [""; 0], "{path}: {text}");
    }
}

/// The modules in the order of the numbered list of `src/lib.rs`, and the program after them.
fn layers() -> Vec<String> {
    let lib = fs::read_to_string(root().join("lib.rs")).expect("the crate must have a root");
    let lines = lib.lines().filter_map(|line| {
        let (number, text) = line.strip_prefix("//! ")?.split_once(". ")?;
        number.parse::<u32>().ok()?;
        Some(text.split(':').next().unwrap_or_default())
    });
    let names = lines.flat_map(|line| line.split('`').skip(1).step_by(2));
    names.map(str::to_owned).chain(["main".to_owned()]).collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder must be readable").flatten();
    let paths = entries.map(|entry| entry.path());
    let (folders, files): (Vec<_>, Vec<_>) = paths.partition(|path| path.is_dir());
    let files = files.into_iter().filter(|path| path.extension().is_some_and(|it| it == "rs"));
    files.filter(|path| !path.ends_with("lib.rs")).chain(folders.iter().flat_map(|it| sources(it))).collect()
}

/// The module of the crate that a file below `src` belongs to.
fn module(path: &Path) -> String {
    let first = path.iter().next().map_or(path, Path::new);
    first.with_extension("").to_string_lossy().into_owned()
}

fn violations_of(path: &Path, text: &str, layers: &[String]) -> Vec<String> {
    let importer = module(path);
    let depth = path.with_extension("").iter().filter(|name| *name != "mod").count();
    let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let mut violations = Vec::new();
    for line in code {
        // Indented code may be in a module of its own, such as `tests`.
        let depth = depth + usize::from(line.starts_with(' '));
        if line.contains(&"super::".repeat(depth)) {
            violations.push(format!("{}: write crate:: instead: {line}", path.display()));
        }
        for imported in line.split("crate::").skip(1) {
            let name = imported.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
            if !may_import(&importer, name, layers) {
                violations.push(format!("{} imports crate::{name}: {line}", path.display()));
            }
        }
    }
    violations
}

/// Whether a module may import another one; an empty name stands for a group or everything.
fn may_import(importer: &str, name: &str, layers: &[String]) -> bool {
    let (simulator, imports, importers) = SIMULATOR;
    let place = |name: &str| layers.iter().position(|layer| layer == name);
    let is_forbidden = FORBIDDEN.iter().any(|(module, names)| *module == importer && names.contains(&name));
    match (importer, name) {
        _ if importer == name => true,
        _ if importer == simulator => imports.contains(&name),
        _ if name == simulator => importers.contains(&importer),
        _ => !is_forbidden && place(name).is_some_and(|place_of_name| Some(place_of_name) < place(importer)),
    }
}
