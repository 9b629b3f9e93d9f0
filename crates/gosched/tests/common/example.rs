//! How tests build the examples of their package. Also those of other packages, which take this file from here.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Builds an example with those features, or finds it built.
pub(crate) fn build(name: &str, features: &[&str]) -> PathBuf {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--example", name, "--message-format", "json-render-diagnostics"])
        .args(["--features", &features.join(",")])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(built.status.success(), "the example {name} does not build");
    let messages = String::from_utf8(built.stdout).expect("cargo speaks UTF-8");
    let executable = messages.split("\"executable\":\"").nth(1).and_then(|rest| rest.split('"').next());
    PathBuf::from(executable.expect("cargo names what it built"))
}
