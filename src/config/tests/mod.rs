//! The configuration as users write it, and the whole text of what they are told when it is wrong.

mod accounts;
mod keys;
mod precedence;
mod samples;
mod sources;
mod values;

use std::fs;
use std::path::PathBuf;

use super::{Environment, Flags, Settings, load};

/// An account with nothing wrong.
const ACCOUNT: &str = r#"
[[accounts]]
name = "prod"
base_url = "https://us-west-2.api.clumio.com"
token_file = "/run/token"
"#;

/// What a user gives: a config file, variables, flags.
#[derive(Default)]
struct Given {
    file: Option<String>,
    variables: Vec<(String, String)>,
    flags: Flags,
}

/// A config file that is this text.
fn file(text: &str) -> Given {
    Given { file: Some(text.to_owned()), ..Given::default() }
}

/// A config file that is this text, and an account with nothing wrong.
fn with_account(text: &str) -> Given {
    file(&format!("{text}\n{ACCOUNT}"))
}

impl Given {
    fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    fn flags(mut self, flags: Flags) -> Self {
        self.flags = flags;
        self
    }

    /// Loads it. The file is called `clumio.toml` in messages, and stands in `/etc` in paths.
    fn load(self) -> Result<Settings, String> {
        let folder = tempfile::tempdir().expect("a temporary folder must be made");
        let mut flags = self.flags;
        if let Some(text) = &self.file {
            let path = folder.path().join("clumio.toml");
            fs::write(&path, text).expect("the config file must be written");
            flags.config_file = Some(path);
        }
        let prefix = format!("{}/", folder.path().display());
        let in_etc = |path: &mut PathBuf| {
            if let Ok(rest) = path.strip_prefix(folder.path()) {
                *path = PathBuf::from("/etc").join(rest);
            }
        };
        let loaded = load(&flags, &self.variables.into_iter().collect());
        let mut settings = loaded.map_err(|error| error.to_string().replace(&prefix, ""))?;
        for account in &mut settings.accounts {
            account.ca_file.as_mut().map(in_etc);
            if let super::TokenSource::File(path) = &mut account.token {
                in_etc(path);
            }
        }
        Ok(settings)
    }

    #[track_caller]
    fn settings(self) -> Settings {
        self.load().unwrap_or_else(|problems| panic!("{problems}"))
    }

    #[track_caller]
    fn problems(self) -> String {
        self.load().expect_err("the configuration must be refused")
    }
}

/// Asserts for each row what one key with this value is told.
#[track_caller]
fn assert_refused(table: &str, rows: &[(&str, &str)]) {
    for (line, expected) in rows {
        let given = with_account(&format!("[{table}]\n{line}"));
        assert_eq!(given.problems(), format!("clumio.toml: {table}.{expected}"), "{line}");
    }
}

fn no_variables() -> Environment {
    Environment::default()
}
