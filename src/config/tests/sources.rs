//! Config files that cannot be read, or are not TOML.

use std::fs;
use std::path::PathBuf;

use super::super::{Flags, load};
use super::{Given, file, no_variables};

/// What is said of a config file of this name with this content, or with none.
fn problems_of(name: &str, content: Option<&[u8]>) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder must be made");
    let path = folder.path().join(name);
    if let Some(content) = content {
        fs::write(&path, content).expect("the file must be written");
    }
    let flags = Flags { config_file: Some(path), ..Flags::default() };
    let error = load(&flags, &no_variables()).expect_err("the file must be refused");
    error.to_string().replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn a_file_that_is_not_there_or_is_not_toml_is_named() {
    let toml = "--config.file must name a TOML file";
    assert_eq!(problems_of("none.toml", None), format!("none.toml: no such file; {toml}"));
    assert_eq!(problems_of("x.toml", Some(b"\xff\xfe")), format!("x.toml: not UTF-8 text; {toml}"));
    assert_eq!(
        problems_of("x.yaml", Some(b"poll: {}")),
        "x.yaml: a config file is TOML, not .yaml; rename it to .toml, and its content too"
    );
    let flags = Flags { config_file: Some(PathBuf::new()), ..Flags::default() };
    assert_eq!(
        Given::default().flags(flags).problems(),
        "--config.file: is empty; name a TOML file, or leave the flag out"
    );
}

#[test]
fn a_folder_is_not_a_file() {
    let folder = tempfile::tempdir().expect("a temporary folder must be made");
    let path = folder.path().join("d");
    fs::create_dir(&path).expect("the folder must be made");
    let flags = Flags { config_file: Some(path.clone()), ..Flags::default() };
    let error = load(&flags, &no_variables()).expect_err("the folder must be refused");
    let path = path.display();
    assert_eq!(error.to_string(), format!("{path}: a directory; --config.file must name a TOML file"));
}

#[test]
fn a_name_without_an_extension_is_taken_as_toml() {
    assert_eq!(
        problems_of("config", Some(b"[poll]\ninterval = 5")),
        "config: poll.interval: 5 has no unit; write \"5s\", \"5m\", \"5h\" or \"5d\"\n\
         config: accounts: there is none; write [[accounts]] with a name, a base_url and a token_file, or set \
         CLUMIO_API_TOKEN and CLUMIO_API_BASE_URL; to look around without an account, \
         run `clumio-exporter demo`"
    );
}

#[test]
fn a_syntax_error_is_placed_and_shows_nothing_of_the_line() {
    for (text, expected) in [
        (
            "[poll]\n  interval = secret",
            ":2:14: not TOML: string values must be quoted, expected literal string",
        ),
        (
            "[[accounts]]\ntoken_file = \"/a\ntoken = \"secret\"",
            ":2:17: not TOML: invalid basic string, expected `\"`",
        ),
        (
            "[[accounts]]\ntoken = \"é\" secret",
            ":2:13: not TOML: unexpected key or value, expected newline, `#`",
        ),
        ("[poll]\n[poll]", ":2:2: not TOML: duplicate key"),
        ("[poll]\nwindow = '1d'\nwindow = 'secret'", ":3:1: not TOML: duplicate key"),
        ("[accounts\n", ":1:10: not TOML: unclosed table, expected `]`"),
        (
            "token = \"secret\\q\"",
            ":1:17: not TOML: missing escaped value, \
             expected `b`, `e`, `f`, `n`, `r`, `\\`, `\"`, `x`, `u`, `U`",
        ),
        ("[poll]\npage_size = 99999999999999999999", ": has a number that does not fit into 64 bits"),
    ] {
        assert_eq!(file(text).problems(), format!("clumio.toml{expected}"), "{text}");
    }
}

#[test]
fn a_file_that_cannot_be_read_hides_no_wrong_variable() {
    let given = file("[poll").variable("CLUMIO_EXPORTER__POLL__INTERVAL", "60");
    assert_eq!(
        given.problems(),
        "clumio.toml:1:6: not TOML: unclosed table, expected `]`\n\
         CLUMIO_EXPORTER__POLL__INTERVAL: poll.interval: \"60\" has no unit; write \"60s\", \"60m\", \"60h\" or \"60d\""
    );
}
