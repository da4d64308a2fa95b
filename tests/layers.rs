//! Modules import only from those above them in the list at the top of `src/lib.rs`.
//!
//! A path counts wherever it stands: in a `use`, in a group of one, in the middle of an expression, or as a chain of
//! `super` that leaves the module. Comments and strings do not count.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Stands beside the layers: what it may import, and who may import it.
const SIMULATOR: (&str, &[&str], &[&str]) = ("simulator", &["time"], &["cli"]);

/// Imports that the order of the layers would allow, and that are wrong all the same: the client does not know what
/// its rows are for, and what is served does not depend on how it was read.
const FORBIDDEN: [(&str, &[&str]); 2] =
    [("clumio", &["ledger", "state"]), ("http", &["clumio", "ledger", "poll", "state"])];

/// A file of the crate: its module, from the root of the crate, and its text.
struct Source {
    module: Vec<String>,
    text: String,
}

/// One lexical element: a name, or a character that is part of none.
type Token = String;

#[test]
fn modules_import_only_from_those_above_them() {
    let layers = layers();
    let sources = sources();
    let violations: Vec<_> = sources.iter().flat_map(|source| violations(source, &layers)).collect();
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn the_list_in_the_documentation_has_every_module_of_the_crate() {
    let mut listed: BTreeSet<_> = layers().into_iter().collect();
    listed.insert(SIMULATOR.0.to_owned());
    let modules: BTreeSet<_> = sources().into_iter().map(|source| source.module[0].clone()).collect();
    assert_eq!(listed, modules);
}

#[test]
fn an_import_from_below_is_found_however_it_is_written() {
    for (text, expected) in [
        ("use crate::cli::main;", "http::listen imports crate::cli"),
        ("use crate::{time::Clock, cli};", "http::listen imports crate::cli"),
        ("use crate::{\n    metrics::{self, Page},\n    cli::{main},\n};", "http::listen imports crate::cli"),
        ("use super::super::cli;", "http::listen imports crate::cli"),
        ("use super::{Served, super::cli::main};", "http::listen imports crate::cli"),
        ("mod tests { use super::super::super::cli; }", "http::listen imports crate::cli"),
        ("mod tests { mod more {} } use super::super::cli;", "http::listen imports crate::cli"),
        ("fn f() -> u32 { crate::cli::main() }", "http::listen imports crate::cli"),
        (
            "fn f<'a>(c: char) -> bool { c == '\"' && crate::cli::is('\\'') }",
            "http::listen imports crate::cli",
        ),
        ("struct S { a: crate::cli::Cli }", "http::listen imports crate::cli"),
        ("use clumio_exporter::cli;", "http::listen imports crate::cli"),
        ("use crate::simulator::Task;", "http::listen imports crate::simulator"),
        ("use crate::poll::Progress;", "http::listen imports crate::poll"),
        ("use crate::*;", "http::listen imports the whole crate"),
        ("use crate as all;", "http::listen imports the whole crate"),
        ("use super::super::*;", "http::listen imports the whole crate"),
        ("use crate::nowhere;", "http::listen imports crate::nowhere"),
    ] {
        assert_eq!(violations_of("http/listen.rs", text), [expected], "{text}");
    }
    for (path, text) in [
        ("time.rs", "use crate::task::Task;"),
        ("config/poll.rs", "use crate::ledger::Rules;"),
        ("clumio/mod.rs", "use crate::ledger::Ledger;"),
        ("ledger/mod.rs", "use super::api;"),
        ("simulator/row.rs", "use crate::task::Status;"),
        ("simulator/row.rs", "use crate::{time::Timestamp, config};"),
        ("scheduler/mod.rs", "use crate::simulator;"),
    ] {
        assert_eq!(violations_of(path, text).len(), 1, "{path}: {text}");
    }
}

#[test]
fn an_import_from_above_is_none() {
    for (path, text) in [
        ("http/mod.rs", "use crate::metrics::{Exposition, Page}; use crate::{config, time};"),
        ("http/mod.rs", "mod listen; use listen::listen; pub(crate) fn f() {} pub(in crate::http) fn g() {}"),
        ("http/listen.rs", "use super::{Site, self}; mod tests { use super::*; use super::super::Site; }"),
        ("http/listen.rs", "//! See [`crate::cli`].\n/* crate::cli /* crate::cli */ crate::cli */"),
        ("http/listen.rs", r##"const A: &str = r#"" crate::cli"#; const B: &[u8] = b"\" crate::cli";"##),
        ("cli/demo.rs", "use crate::{simulator::Simulator, config, http}; use super::daemon::Daemon;"),
        (
            "simulator/row.rs",
            "use crate::time::Timestamp; use crate::simulator::task; use super::task::Task;",
        ),
        ("main.rs", "fn main() { clumio_exporter::cli::main() }"),
    ] {
        assert_eq!(violations_of(path, text), [""; 0], "{path}: {text}");
    }
}

fn violations_of(path: &str, text: &str) -> Vec<String> {
    violations(&Source { module: module(Path::new(path)), text: text.to_owned() }, &layers())
}

/// The modules in the order of the numbered list of `src/lib.rs`, and the program after them.
fn layers() -> Vec<String> {
    let lib = fs::read_to_string(root().join("src/lib.rs")).expect("the crate must have a root");
    let lines = lib.lines().filter_map(|line| {
        let (number, text) = line.strip_prefix("//! ")?.split_once(". ")?;
        number.parse::<u32>().ok()?;
        Some(text.split(':').next().unwrap_or_default())
    });
    let names = lines.flat_map(|line| line.split('`').skip(1).step_by(2));
    names.map(str::to_owned).chain(["main".to_owned()]).collect()
}

/// Every file below `src` but the root of the crate.
fn sources() -> Vec<Source> {
    let src = root().join("src");
    let (mut folders, mut sources) = (vec![src.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the folder must be readable") {
            let path = entry.expect("the entry must be readable").path();
            let inside = path.strip_prefix(&src).expect("the path must be below src");
            if path.is_dir() {
                folders.push(path);
            } else if inside.extension().is_some_and(|it| it == "rs") && inside != Path::new("lib.rs") {
                let text = fs::read_to_string(&path).expect("the file must be text");
                sources.push(Source { module: module(inside), text });
            }
        }
    }
    assert!(sources.len() > 20, "only {} files were found", sources.len());
    sources
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The module that a file below `src` is.
fn module(path: &Path) -> Vec<String> {
    let names = path.with_extension("");
    let mut module: Vec<_> = names.iter().map(|name| name.to_string_lossy().into_owned()).collect();
    module.pop_if(|last| last == "mod");
    module
}

/// What is wrong with the imports of a file, each once.
fn violations(source: &Source, layers: &[String]) -> Vec<String> {
    let importer = source.module[0].as_str();
    let file = source.module.join("::");
    let imports = Scan::new(source).imports();
    let wrong = imports.into_iter().filter_map(|imported| match imported {
        None => Some(format!("{file} imports the whole crate")),
        Some(module) => {
            (!may_import(importer, &module, layers)).then(|| format!("{file} imports crate::{module}"))
        }
    });
    wrong.collect()
}

fn may_import(importer: &str, module: &str, layers: &[String]) -> bool {
    let (simulator, imports, importers) = SIMULATOR;
    if importer == module {
        return true;
    }
    if importer == simulator {
        return imports.contains(&module);
    }
    if module == simulator {
        return importers.contains(&importer);
    }
    let is_forbidden = FORBIDDEN.iter().any(|(name, modules)| *name == importer && modules.contains(&module));
    let place = |name: &str| layers.iter().position(|layer| layer == name);
    !is_forbidden && place(module).is_some_and(|module| Some(module) < place(importer))
}

/// The text without comments, strings and characters, cut into names and single characters.
fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let at = |n: usize| chars.get(n).copied().unwrap_or('\n');
    let (mut tokens, mut n) = (Vec::new(), 0);
    while n < chars.len() {
        match (at(n), at(n + 1)) {
            ('/', '/') => n = end_of_line(&chars, n),
            ('/', '*') => n = end_of_comment(&chars, n),
            ('"', _) => n = end_of_string(&chars, n),
            ('r', '"' | '#') if is_raw(&chars, n) => n = end_of_raw(&chars, n),
            ('b', 'r') if is_raw(&chars, n + 1) => n = end_of_raw(&chars, n + 1),
            ('\'', '\\') => n = end_of_char(&chars, n),
            // Any other quote without one two characters on begins a lifetime.
            ('\'', _) if at(n + 2) == '\'' => n += 3,
            (c, _) if is_name(c) => {
                let end = (n..chars.len()).find(|&n| !is_name(at(n))).unwrap_or(chars.len());
                tokens.push(chars[n..end].iter().collect());
                n = end;
            }
            (c, _) => {
                if !c.is_whitespace() {
                    tokens.push(c.to_string());
                }
                n += 1;
            }
        }
    }
    tokens
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn end_of_line(chars: &[char], from: usize) -> usize {
    (from..chars.len()).find(|&n| chars[n] == '\n').unwrap_or(chars.len())
}

fn end_of_comment(chars: &[char], from: usize) -> usize {
    let (mut depth, mut n) = (0, from);
    while n + 1 < chars.len() {
        match (chars[n], chars[n + 1]) {
            ('/', '*') => (depth, n) = (depth + 1, n + 2),
            ('*', '/') => (depth, n) = (depth - 1, n + 2),
            _ => n += 1,
        }
        if depth == 0 {
            return n;
        }
    }
    chars.len()
}

fn end_of_string(chars: &[char], from: usize) -> usize {
    let mut n = from + 1;
    while n < chars.len() && chars[n] != '"' {
        n += if chars[n] == '\\' { 2 } else { 1 };
    }
    n + 1
}

fn end_of_char(chars: &[char], from: usize) -> usize {
    // The character after the backslash is never the end: it may be a quote.
    (from + 3..chars.len()).find(|&n| chars[n] == '\'').map_or(chars.len(), |n| n + 1)
}

/// Whether a raw string begins here, and not a raw name such as `r#type`.
fn is_raw(chars: &[char], from: usize) -> bool {
    let after = chars[from..].iter().skip(1).find(|&&c| c != '#');
    chars[from] == 'r' && after == Some(&'"')
}

fn end_of_raw(chars: &[char], from: usize) -> usize {
    let hashes = chars[from + 1..].iter().take_while(|&&c| c == '#').count();
    let end: Vec<char> = ['"'].into_iter().chain(std::iter::repeat_n('#', hashes)).collect();
    let start = from + 2 + hashes;
    let found = chars.get(start..).and_then(|rest| rest.windows(end.len()).position(|it| *it == end));
    found.map_or(chars.len(), |n| start + n + end.len())
}

/// Reads the paths of one file, and knows in which module of the file it is.
struct Scan {
    tokens: Vec<Token>,
    /// The module whose code is being read: that of the file, or one written in it.
    module: Vec<String>,
    /// For each open brace, whether it opened a module.
    braces: Vec<bool>,
    /// The modules of the crate that were named; none where a path names the crate alone.
    found: BTreeSet<Option<String>>,
}

// === impl Scan ===

impl Scan {
    fn new(source: &Source) -> Self {
        let (tokens, module) = (tokens(&source.text), source.module.clone());
        Self { tokens, module, braces: Vec::new(), found: BTreeSet::new() }
    }

    fn imports(mut self) -> BTreeSet<Option<String>> {
        let mut n = 0;
        while n < self.tokens.len() {
            n = self.step(n);
        }
        self.found
    }

    fn token(&self, n: usize) -> &str {
        self.tokens.get(n).map_or("", String::as_str)
    }

    /// Reads what begins at `n`; gives where the next begins.
    fn step(&mut self, n: usize) -> usize {
        let starts_path = n < 2 || !self.is_separator(n - 2);
        let token = self.token(n).to_owned();
        match token.as_str() {
            "mod" if self.token(n + 2) == "{" => {
                self.module.push(self.token(n + 1).to_owned());
                self.braces.push(true);
                return n + 3;
            }
            "{" => self.braces.push(false),
            "}" if self.braces.pop() == Some(true) => drop(self.module.pop()),
            "crate" if self.token(n + 1) == "as" => drop(self.found.insert(None)),
            "crate" | "clumio_exporter" | "super" | "self" if starts_path && self.is_separator(n + 1) => {
                return self.path(n, self.module.clone());
            }
            _ => {}
        }
        n + 1
    }

    fn is_separator(&self, n: usize) -> bool {
        self.token(n) == ":" && self.token(n + 1) == ":"
    }

    /// Reads the path at `n`, relative to the module `at`, with the groups in it; gives where it ends.
    fn path(&mut self, mut n: usize, mut at: Vec<String>) -> usize {
        loop {
            let token = self.token(n).to_owned();
            match token.as_str() {
                "{" => return self.group(n + 1, &at),
                "crate" | "clumio_exporter" => at.clear(),
                "super" => drop(at.pop()),
                "self" => {}
                "*" => {
                    self.found.insert(at.first().cloned());
                    return n + 1;
                }
                name => at.push(name.to_owned()),
            }
            if !self.is_separator(n + 1) {
                self.found.insert(at.first().cloned());
                return n + 1;
            }
            n += 3;
        }
    }

    /// Reads the paths of a group, from the one at `n`; gives where the group ends.
    fn group(&mut self, mut n: usize, at: &[String]) -> usize {
        while n < self.tokens.len() {
            match self.token(n) {
                "}" => return n + 1,
                "," => n += 1,
                "as" => n += 2,
                _ => n = self.path(n, at.to_vec()),
            }
        }
        n
    }
}
