//! The dashboard has Grafana's own types, as the TypeScript compiler sees them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;

use crate::queries::DASHBOARD;
use crate::{path, read};

/// Where the types are installed, once for all runs.
const FOLDER: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/grafana");

const LOCK: &str = "tests/grafana/package-lock.json";

/// The folder with the compiler and the types, as the lock file has them.
fn installed() -> &'static Path {
    static FOLDER_READY: OnceLock<()> = OnceLock::new();
    let folder = Path::new(FOLDER);
    FOLDER_READY.get_or_init(|| {
        let done = folder.join("installed");
        if fs::read_to_string(&done).is_ok_and(|lock| lock == read(LOCK)) {
            return;
        }
        fs::create_dir_all(folder).expect("a folder must be made");
        for file in ["package.json", "package-lock.json"] {
            fs::copy(path("tests/grafana").join(file), folder.join(file)).expect("the file must be copied");
        }
        succeeds(&run(Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(folder)));
        fs::copy(path(LOCK), done).expect("the file must be copied");
    });
    folder
}

/// What the compiler says of a dashboard.
fn compile(json: &str) -> Output {
    let installed = installed();
    // Beside node_modules, where the compiler looks for them.
    let folder = tempfile::tempdir_in(installed).expect("a folder must be made");
    for file in ["tsconfig.json", "types.ts"] {
        fs::copy(path("tests/grafana").join(file), folder.path().join(file))
            .expect("the file must be copied");
    }
    // A literal: only there is a key that the type lacks an error. An import of JSON would be widened.
    let literal = json.trim_end();
    let text = format!(
        "import type {{ Dashboard }} from './types';\n\nexport default {literal} satisfies Dashboard;\n"
    );
    fs::write(folder.path().join("dashboard.ts"), text).expect("the file must be written");
    let compiler = installed.join("node_modules/typescript/bin/tsc");
    run(Command::new("node").arg(compiler).arg("--project").arg(folder.path()))
}

fn run(command: &mut Command) -> Output {
    command.output().expect("node and npm must be installed, as tests/run does")
}

fn succeeds(output: &Output) {
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{complained}");
}

#[test]
fn the_dashboard_has_the_types_of_grafana() {
    succeeds(&compile(&read(DASHBOARD)));
}

#[test]
fn a_misspelt_key_is_found_at_any_depth() {
    let dashboard = read(DASHBOARD);
    for key in [
        "graphTooltip",
        "includeAll",
        "alertName",
        "titleFormat",
        "legendFormat",
        "reduceOptions",
        "fillOpacity",
        "yHistogram",
    ] {
        let misspelt = format!("{key}s");
        let changed = dashboard.replacen(&format!("\"{key}\":"), &format!("\"{misspelt}\":"), 1);
        let output = compile(&changed);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success(), "{misspelt} must not be taken");
        assert!(said.contains(&misspelt), "{misspelt}: {said}");
    }
}

/// A lock file that names the host of a registry works for nobody who uses another.
#[test]
fn the_lock_file_names_no_host() {
    let lock = read(LOCK);
    assert!(lock.contains("\"integrity\"") && !lock.contains("resolved") && !lock.contains("://"));
}
