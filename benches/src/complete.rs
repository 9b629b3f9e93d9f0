//! The rows and the programs know each other: what is in benches/rows is in a program's table, and the other way.

use crate::programs::go_files;
use crate::root;
use crate::row::{self, Row};
use crate::system::System;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn rows() -> Vec<Row> {
    row::all(&root().join("benches/rows")).unwrap()
}

/// The row files of a system, by their rows.
fn files(name: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(root().join("benches/rows")).unwrap();
    let directories = entries.map(|entry| entry.unwrap());
    let has = directories.filter(|entry| entry.path().join(name).exists());
    has.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

/// The rows in a table, of which each line is `("row", module::run),`, where the module is that row's file.
fn table(source: &Path, file: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(source).unwrap_or_else(|error| panic!("{}: {error}", source.display()));
    let flat = text.split_whitespace().collect::<String>();
    let mut rows = BTreeSet::new();
    let mut pieces: Vec<&str> = flat.split("::run)").collect();
    // Behind the last entry comes something else.
    pieces.pop();
    for piece in pieces {
        let (_, entry) = piece.rsplit_once("(\"").unwrap();
        let (row, module) = entry.split_once("\",").unwrap();
        let declared = format!("rows/{row}/{file}\"]mod{module};");
        let public = format!("rows/{row}/{file}\"]pubmod{module};");
        assert!(
            flat.contains(&declared) || flat.contains(&public),
            "{}: {row} is not its own file",
            source.display()
        );
        assert!(rows.insert(row.to_owned()), "{}: {row} is there twice", source.display());
    }
    rows
}

/// Where the table of a Rust system is.
fn source(base: &str) -> PathBuf {
    let systems = root().join("benches/systems");
    match base {
        "gosched" => systems.join("gosched/src/main.rs"),
        _ => systems.join(format!("{}/src/systems/{}.rs", program(base), file_of(base))),
    }
}

/// Which program a system is in.
fn program(base: &str) -> &'static str {
    if System::parse(base).package() == Some("bench-coroutines") { "coroutines" } else { "peers" }
}

fn file_of(base: &str) -> String {
    base.replace('-', "_")
}

/// Every system of a Rust program, by its files.
fn systems() -> BTreeSet<String> {
    let mut systems = BTreeSet::new();
    for entry in fs::read_dir(root().join("benches/rows")).unwrap() {
        for file in fs::read_dir(entry.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("rs") => drop(systems.insert(stem.replace('_', "-"))),
                Some("toml") => assert_eq!(stem, "row", "{}", path.display()),
                Some("go") => assert_eq!(stem, "go", "{}", path.display()),
                _ => panic!("{} does not belong there", path.display()),
            }
        }
    }
    systems
}

#[test]
fn every_row_has_its_texts() {
    let rows = rows();
    assert!(rows.len() >= 40, "only {} rows", rows.len());
    let titles: BTreeSet<_> = rows.iter().map(|row| &row.title).collect();
    assert_eq!(titles.len(), rows.len(), "two rows have the same title");
}

#[test]
fn every_rust_file_is_in_its_programs_table() {
    let systems = systems();
    assert!(systems.len() >= 10 && systems.contains("gosched"), "{systems:?}");
    for system in &systems {
        let file = format!("{}.rs", file_of(system));
        assert_eq!(files(&file), table(&source(system), &file), "of {system}");
        if system != "gosched" {
            let sources = root().join("benches/systems").join(program(system)).join("src");
            let texts =
                ["systems/mod.rs", "main.rs", "lib.rs"].map(|file| fs::read_to_string(sources.join(file)));
            let used = |text: &String| text.contains(&format!("{}::ROWS", file_of(system)));
            assert!(texts.iter().flatten().any(used), "{system} is in no program");
        }
    }
}

#[test]
fn every_go_file_enters_its_row() {
    for row in files("go.go") {
        let text = fs::read_to_string(root().join(format!("benches/rows/{row}/go.go"))).unwrap();
        assert!(text.contains(&format!("rows[\"{row}\"] = ")), "rows/{row}/go.go");
    }
    assert!(go_files(root()).unwrap().len() > 20);
}

#[test]
fn every_system_of_a_row_has_a_program() {
    for row in rows().iter().filter(|row| row.from.is_none()) {
        for name in &row.systems {
            let system = System::parse(name);
            if row.hello {
                let hello = root().join("benches/systems/hello");
                let rust = hello.join(format!("src/bin/hello-{}.rs", system.base));
                assert!(rust.exists() || system.base == "go" && hello.join("go/hello.go").exists(), "{name}");
                continue;
            }
            let file = if system.base == "go" {
                "go.go".to_owned()
            } else {
                format!("{}.rs", file_of(&system.base))
            };
            let program = row.program_of(&system);
            assert!(
                files(&file).contains(program),
                "{name} runs {program} in the row {}, which it does not have",
                row.name
            );
        }
    }
}

#[test]
fn every_program_is_run_by_some_row() {
    let rows = rows();
    for system in systems().iter().map(String::as_str).chain(["go"]) {
        let file = if system == "go" { "go.go".to_owned() } else { format!("{}.rs", file_of(system)) };
        for program in files(&file) {
            let runs = |row: &&Row| {
                let systems = row.systems.iter().map(|name| System::parse(name));
                systems.filter(|one| one.base == system).any(|one| row.program_of(&one) == program)
            };
            assert!(rows.iter().any(|row| runs(&row)), "no row runs rows/{program}/{file}");
        }
    }
}
