//! What the docs of public items must have: an example for each type, trait, free function and macro, and a
//! section "Cancellation" for each future. That the examples work is for `cargo test --doc` to say.
//!
//! The sources are read line by line, as rustfmt leaves them. An item counts as public if it is `pub` at the
//! margin: that such an item can be reached is checked by the lint `unreachable_pub`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Public, but not in the docs: what macros expand to, and the stand-in for `wait` in models.
const HIDDEN: [&str; 5] =
    ["debug/test.rs", "runtime/main.rs", "select/arm.rs", "select/operand.rs", "wait/block_model.rs"];

/// There are more than these. Fewer mean that the check looked in the wrong place, or at nothing.
const FEWEST_ITEMS: usize = 120;
const FEWEST_FUTURES: usize = 20;

#[test]
fn each_public_item_has_an_example_and_each_future_tells_of_cancellation() {
    let mut scan = Scan::default();
    scan.directory(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "");
    let missing = scan.missing();
    assert!(missing.is_empty(), "\n{}\n", missing.join("\n"));
    let futures = scan.items.keys().filter(|item| scan.futures.contains(*item)).count();
    assert!(scan.items.len() >= FEWEST_ITEMS, "only {} items were found", scan.items.len());
    assert!(futures >= FEWEST_FUTURES, "only {futures} futures were found");
}

#[test]
fn the_same_holds_for_the_crate_beside_it() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut scan = Scan::default();
    scan.directory(&crates.join("gosched-http").join("src"), "");
    let missing = scan.missing();
    assert!(missing.is_empty(), "\n{}\n", missing.join("\n"));
    assert!(scan.items.len() >= 10, "only {} items were found", scan.items.len());
}

/// The file of an item, and its name.
type Place = (String, String);

#[derive(Default)]
struct Scan {
    /// Public items with their docs.
    items: BTreeMap<Place, String>,
    /// Types that are futures, public or not.
    futures: BTreeSet<Place>,
}

impl Scan {
    fn directory(&mut self, path: &Path, name: &str) {
        for entry in fs::read_dir(path).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{name}{}", entry.file_name().to_str().unwrap());
            if entry.path().is_dir() {
                self.directory(&entry.path(), &format!("{name}/"));
            } else if !HIDDEN.contains(&&*name) {
                self.file(&name, &fs::read_to_string(entry.path()).unwrap());
            }
        }
    }

    fn file(&mut self, name: &str, text: &str) {
        // The docs and attributes of the item to come.
        let mut head = String::new();
        for line in text.lines() {
            if line.starts_with("///") || line.starts_with("#[") {
                head.push_str(line);
                head.push('\n');
                continue;
            }
            let macro_name = line.strip_prefix("macro_rules! ").filter(|_| head.contains("#[macro_export]"));
            if let Some(item) = public_name(line).or(macro_name.map(first_name)) {
                self.items.insert((name.to_owned(), item.to_owned()), head.clone());
            }
            if let (true, Some((_, of))) = (line.starts_with("impl"), line.split_once("Future for ")) {
                self.futures.insert((name.to_owned(), first_name(of).to_owned()));
            }
            head.clear();
        }
    }

    /// One line for each item whose docs lack something.
    fn missing(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (item, docs) in &self.items {
            let (file, name) = item;
            if !docs.contains("\n/// ```\n") {
                lines.push(format!("{file}: `{name}` has no example"));
            }
            if self.futures.contains(item) && !docs.contains("/// # Cancellation\n") {
                lines.push(format!("{file}: the future `{name}` has no section \"Cancellation\""));
            }
        }
        lines
    }
}

/// The name of the item that begins at this line, if it is a public one that must have an example.
fn public_name(line: &str) -> Option<&str> {
    let mut words =
        line.strip_prefix("pub ")?.split(' ').skip_while(|word| ["const", "unsafe"].contains(word));
    ["enum", "fn", "struct", "trait", "type"]
        .contains(&words.next()?)
        .then(|| first_name(words.next().unwrap()))
}

fn first_name(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap()
}

#[test]
fn the_check_finds_what_is_missing() {
    let example = "/// Text.\n///\n/// ```\n/// assert!(true);\n/// ```\n";
    let section = "/// # Cancellation\n///\n/// Nothing is lost.\n";
    let text = format!(
        "{example}pub struct Good(u8);\n\n/// Text.\npub const fn bare() {{}}\n\
         /// Text.\npub(crate) fn private() {{}}\n\
         {section}{example}#[must_use]\npub struct Ready<'a, T>(&'a T);\n{example}pub struct Short<T>(T);\n\
         impl<T> Future for Ready<'_, T> {{\n    type Output = ();\n}}\nimpl<T> std::future::Future for Short<T>\n\
         /// Text.\n#[macro_export]\nmacro_rules! shout {{\n}}\nmacro_rules! inner {{\n}}\n"
    );
    let mut scan = Scan::default();
    scan.file("a.rs", &text);
    assert_eq!(scan.items.len(), 5);
    let expected = [
        "a.rs: the future `Short` has no section \"Cancellation\"",
        "a.rs: `bare` has no example",
        "a.rs: `shout` has no example",
    ];
    let missing = scan.missing();
    assert_eq!(missing.len(), expected.len(), "{missing:?}");
    assert!(expected.iter().all(|line| missing.contains(&(*line).to_owned())), "{missing:?}");
}
