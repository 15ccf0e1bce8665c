//! Notes which commit and target rooflab is built for, so that profiles can say which build measured them.

#![expect(clippy::disallowed_methods, reason = "cargo tells a build script everything through its environment")]

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=.git/HEAD");
    println!("cargo::rerun-if-changed=.git/index");
    println!("cargo::rerun-if-env-changed=ROOFLAB_COMMIT");
    let given = std::env::var("ROOFLAB_COMMIT").ok();
    // A source archive has no repository, and a repository around it is not its own.
    let own = std::path::Path::new(".git").exists();
    if let Some(commit) = given.or_else(|| own.then(describe).flatten()) {
        println!("cargo::rustc-env=ROOFLAB_COMMIT={commit}");
    }
    if let Ok(target) = std::env::var("TARGET") {
        println!("cargo::rustc-env=ROOFLAB_TARGET={target}");
    }
}

fn describe() -> Option<String> {
    let output =
        Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
