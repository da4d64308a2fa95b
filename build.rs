//! Tells the program which revision it is and which compiler built it: `--version`, `clumio_exporter_build_info`.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=CLUMIO_EXPORTER_REVISION");
    println!("cargo:rerun-if-changed=build.rs");
    // What HEAD points at is logged here; without git, as in a source archive, neither exists.
    for path in [".git/HEAD", ".git/logs/HEAD"] {
        if std::path::Path::new(path).exists() {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    let revision = env::var("CLUMIO_EXPORTER_REVISION").ok().filter(|revision| !revision.is_empty());
    let revision = revision.or_else(|| output("git", &["rev-parse", "--short=12", "HEAD"]));
    let rustc = env::var("RUSTC").ok().and_then(|rustc| output(&rustc, &["--version"]));
    let rustc = rustc.as_deref().and_then(|line| line.split(' ').nth(1)).unwrap_or("unknown");
    println!("cargo:rustc-env=CLUMIO_EXPORTER_REVISION={}", revision.as_deref().unwrap_or("unknown"));
    println!("cargo:rustc-env=CLUMIO_EXPORTER_RUSTC={rustc}");
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
