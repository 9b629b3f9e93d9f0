//! Who may import whom inside the library, as data, and the check that it is so.
//!
//! The arrows are those of the design. A new edge that they do not allow is a question about the
//! design: answer it there first. Do not change the policy to make a build pass.
//!
//! The check reads the sources as tokens, so that comments and strings count for nothing and
//! paths inside macros count as all others do. Code under `#[cfg(test)]` is left out: tests may
//! look upward.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// `a < b`: b may import a, and all that a may import.
const POLICY: &str = "
    NONE < sys;
    sys < fiber, clock;
    fiber, clock < task;
    task < wait, queue, unwind;
    unwind < dump;
    wait < spawn;
    spawn < chan, sync;
    chan < select;
    queue, wait, dump < scheduler;
    scheduler, spawn < runtime;
    spawn, chan, sync < time < context;
    context, spawn < group;
    select, context < io, process;
    scheduler, io < net;
    chan, group < pipeline;
    runtime < debug, testing;
";

/// Edges without which there is no such library: when one is not found, the scanner is broken.
const CERTAIN_EDGES: [(&str, &str); 6] = [
    ("task", "sys"),
    ("wait", "task"),
    ("chan", "wait"),
    ("select", "chan"),
    ("scheduler", "queue"),
    ("runtime", "scheduler"),
];

/// The library has more than this. Fewer mean that the check looked in the wrong place.
const FEWEST_FILES: usize = 30;
const FEWEST_EDGES: usize = 15;

#[test]
fn modules_import_only_what_lies_below() {
    let policy = Policy::parse(POLICY).unwrap();
    let sources = read_sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let scan = Scan::of(&sources);
    let violations = policy.violations(&scan);
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));

    assert!(scan.files >= FEWEST_FILES, "only {} files were scanned", scan.files);
    assert!(scan.edges.len() >= FEWEST_EDGES, "only {} edges were found", scan.edges.len());
    for (from, to) in CERTAIN_EDGES {
        let seen = scan.edges.keys().any(|edge| edge.from == from && edge.to == to);
        assert!(seen, "the edge from {from} to {to} was not found");
    }
}

// ---- the policy -----------------------------------------------------------------------------

/// For each module everything below it.
struct Policy {
    below: BTreeMap<String, BTreeSet<String>>,
}

impl Policy {
    /// Reads statements of the form `a, b < c, d < e;`. A module on the left must have been on a
    /// right before, which makes a cycle impossible to write.
    fn parse(text: &str) -> Result<Policy, String> {
        let mut below: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for statement in text.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
            let groups: Vec<Vec<&str>> =
                statement.split('<').map(|group| group.split(',').map(str::trim).collect()).collect();
            for pair in groups.windows(2) {
                for upper in &pair[1] {
                    let mut reach = BTreeSet::new();
                    for lower in pair[0].iter().filter(|lower| **lower != "NONE") {
                        let under =
                            below.get(*lower).ok_or(format!("`{lower}` is used before it is placed"))?;
                        reach.extend(under.iter().cloned());
                        reach.insert((*lower).to_owned());
                    }
                    if reach.contains(*upper) || below.values().any(|under| under.contains(*upper)) {
                        return Err(format!("`{upper}` is placed after others were put above it"));
                    }
                    below.entry((*upper).to_owned()).or_default().extend(reach);
                }
            }
        }
        Ok(Policy { below })
    }

    /// One line for each edge that is not allowed, each unknown module, and each cycle.
    fn violations(&self, scan: &Scan) -> Vec<String> {
        let mut lines = Vec::new();
        for module in scan.modules.iter().filter(|module| !self.below.contains_key(*module)) {
            lines.push(format!("module `{module}` has no place in the policy"));
        }
        for (edge, place) in &scan.edges {
            let Edge { from, to } = edge;
            if to.starts_with("__") {
                // What macros expand to: a name of the root, which is no module of its own.
                continue;
            }
            if !self.below.contains_key(to) {
                lines.push(format!("{place}: `{from}` imports `{to}`, which is no module of the policy"));
            } else if self.below.get(from).is_some_and(|below| !below.contains(to)) {
                lines.push(format!("{place}: `{from}` imports `{to}`, which does not lie below it"));
            }
        }
        lines.extend(scan.cycle().map(|cycle| format!("a cycle of imports: {}", cycle.join(" -> "))));
        lines
    }
}

// ---- the sources ----------------------------------------------------------------------------

/// All Rust files under a directory: path relative to it, with `/`, and text.
fn read_sources(root: &Path) -> BTreeMap<String, String> {
    let mut sources = BTreeMap::new();
    let mut pending: Vec<PathBuf> = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in
            fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
                sources.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    sources
}

/// An import of one top-level module by another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Edge {
    from: String,
    to: String,
}

/// What the sources say.
#[derive(Default)]
struct Scan {
    files: usize,
    modules: BTreeSet<String>,
    /// Each edge with the first file it was found in.
    edges: BTreeMap<Edge, String>,
}

impl Scan {
    fn of(sources: &BTreeMap<String, String>) -> Scan {
        let files: Vec<File> = sources.iter().map(|(name, text)| File::read(name, text)).collect();
        let only_tests: Vec<&Vec<String>> = files.iter().flat_map(|file| &file.test_modules).collect();
        let root_names = root_names(&files);
        let mut scan = Scan::default();
        for file in &files {
            if only_tests.iter().any(|tests| file.module.starts_with(tests)) {
                continue;
            }
            scan.files += 1;
            // The root may import everything: it is what puts the library together.
            let Some(from) = file.module.first() else { continue };
            scan.modules.insert(from.clone());
            for target in &file.imports {
                let to = match target.first() {
                    None => "* of the crate root",
                    Some(first) if sources_have(sources, first) => first,
                    Some(first) => root_names.get(first).unwrap_or(first),
                };
                if to != from {
                    let edge = Edge { from: from.clone(), to: to.to_owned() };
                    scan.edges.entry(edge).or_insert_with(|| format!("src/{}", file.name));
                }
            }
        }
        scan
    }

    /// Modules that import each other in a circle, if there are some.
    fn cycle(&self) -> Option<Vec<String>> {
        fn visit<'a>(
            scan: &'a Scan,
            here: &'a str,
            path: &mut Vec<&'a str>,
            done: &mut BTreeSet<&'a str>,
        ) -> bool {
            if path.contains(&here) {
                path.push(here);
                return true;
            }
            if done.contains(here) {
                return false;
            }
            path.push(here);
            if scan
                .edges
                .keys()
                .filter(|edge| edge.from == here)
                .any(|edge| visit(scan, &edge.to, path, done))
            {
                return true;
            }
            path.pop();
            done.insert(here);
            false
        }
        let mut done = BTreeSet::new();
        self.modules.iter().find_map(|module| {
            let mut path = Vec::new();
            visit(self, module, &mut path, &mut done).then(|| {
                let start = path.iter().position(|step| Some(step) == path.last()).unwrap();
                path[start..].iter().map(|&step| step.to_owned()).collect()
            })
        })
    }
}

fn sources_have(sources: &BTreeMap<String, String>, module: &str) -> bool {
    sources.contains_key(&format!("{module}.rs")) || sources.contains_key(&format!("{module}/mod.rs"))
}

/// The module each name of the crate root comes from: re-exports of `lib.rs`, exported macros.
fn root_names(files: &[File]) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for file in files {
        match file.module.first() {
            Some(module) => names.extend(file.macros.iter().map(|name| (name.clone(), module.clone()))),
            None => names.extend(file.imports.iter().filter_map(|path| match &path[..] {
                [module, .., name] => Some((name.clone(), module.clone())),
                _ => None,
            })),
        }
    }
    names
}

// ---- one file -------------------------------------------------------------------------------

/// What one file says.
struct File {
    name: String,
    /// Its path from the root, by its place in the directory.
    module: Vec<String>,
    /// Absolute paths that occur in it, from the root; for the root itself also those of `use`.
    imports: Vec<Vec<String>>,
    /// Names of macros it defines.
    macros: Vec<String>,
    /// Modules in files of their own that exist only in tests.
    test_modules: Vec<Vec<String>>,
}

impl File {
    fn read(name: &str, text: &str) -> File {
        let stem = name.strip_suffix(".rs").expect("a Rust file");
        let mut module: Vec<String> = stem.split('/').map(str::to_owned).collect();
        if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
            module.pop();
        }
        let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut file = File {
            name: name.to_owned(),
            module: module.clone(),
            imports: Vec::new(),
            macros: Vec::new(),
            test_modules: Vec::new(),
        };
        file.scan(tokens, &module);
        file
    }

    /// Collects the paths in a token stream that stands in `module`.
    fn scan(&mut self, tokens: TokenStream, module: &[String]) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            let rest = &tokens[at..];
            if is_cfg_test(rest) {
                at += self.skip_test_item(rest, module);
            } else if let [TokenTree::Ident(word), TokenTree::Ident(name), TokenTree::Group(inside), ..] =
                rest
                && word == "mod"
            {
                let inner: Vec<String> = module.iter().cloned().chain([name.to_string()]).collect();
                self.scan(inside.stream(), &inner);
                at += 3;
            } else if let [TokenTree::Ident(word), TokenTree::Punct(_), TokenTree::Ident(name), ..] = rest
                && word == "macro_rules"
            {
                self.macros.push(name.to_string());
                at += 3;
            } else if let TokenTree::Group(group) = &rest[0] {
                self.scan(group.stream(), module);
                at += 1;
            } else {
                at += self.path(rest, module);
            }
        }
    }

    /// Reads a path at the head of `tokens`, if there is one, and returns the number of tokens read.
    fn path(&mut self, tokens: &[TokenTree], module: &[String]) -> usize {
        let TokenTree::Ident(first) = &tokens[0] else { return 1 };
        let in_root_use = module.is_empty() && first == "use";
        let start = if in_root_use { 1 } else { 0 };
        let Some(TokenTree::Ident(first)) = tokens.get(start) else { return 1 };
        let base = match first.to_string().as_str() {
            // In macros the crate may also go by its name.
            "crate" | "gosched" => Vec::new(),
            "self" => module.to_vec(),
            "super" => module[..module.len().saturating_sub(1)].to_vec(),
            other if in_root_use => vec![other.to_owned()],
            _ => return 1,
        };
        if !is_path_separator(&tokens[start + 1..]) {
            return 1;
        }
        start + 1 + self.tail(&tokens[start + 1..], base)
    }

    /// Reads `::segment`, `::{…}` and `::*` behind `base`; returns the number of tokens read.
    fn tail(&mut self, tokens: &[TokenTree], mut base: Vec<String>) -> usize {
        let mut at = 0;
        while is_path_separator(&tokens[at..]) {
            match tokens.get(at + 2) {
                Some(TokenTree::Ident(segment)) if segment == "super" => drop(base.pop()),
                Some(TokenTree::Ident(segment)) if segment == "self" => {}
                Some(TokenTree::Ident(segment)) => base.push(segment.to_string()),
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                    self.branches(group.stream(), &base);
                    return at + 3;
                }
                // A glob imports the module itself; after `::<` come generic arguments.
                _ => break,
            }
            at += 3;
        }
        self.imports.push(base);
        at
    }

    /// Reads the branches of `use base::{…}`.
    fn branches(&mut self, tokens: TokenStream, base: &[String]) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for branch in tokens.split(|token| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ',')) {
            let mut path = base.to_vec();
            match branch.first() {
                None => continue,
                Some(TokenTree::Ident(segment)) if segment == "super" => drop(path.pop()),
                Some(TokenTree::Ident(segment)) if segment != "self" => path.push(segment.to_string()),
                _ => {}
            }
            self.tail(&branch[1..], path);
        }
    }

    /// Steps over the item behind `#[cfg(test)]`; returns the number of tokens.
    fn skip_test_item(&mut self, tokens: &[TokenTree], module: &[String]) -> usize {
        let mut at = 2;
        while matches!(tokens.get(at), Some(TokenTree::Punct(mark)) if mark.as_char() == '#') {
            at += 2;
        }
        if let [TokenTree::Ident(word), TokenTree::Ident(name), TokenTree::Punct(_), ..] =
            &tokens[at.min(tokens.len())..]
            && word == "mod"
        {
            self.test_modules.push(module.iter().cloned().chain([name.to_string()]).collect());
        }
        // Items end with a semicolon or a block; fields, arms and arguments with a comma.
        let words = [
            "pub", "mod", "use", "fn", "impl", "struct", "enum", "trait", "type", "const", "static", "unsafe",
        ];
        let is_item =
            matches!(tokens.get(at), Some(TokenTree::Ident(word)) if words.iter().any(|known| word == known));
        while let Some(token) = tokens.get(at) {
            at += 1;
            match token {
                TokenTree::Punct(mark) if mark.as_char() == ';' => break,
                TokenTree::Punct(mark) if mark.as_char() == ',' && !is_item => break,
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => break,
                _ => {}
            }
        }
        at
    }
}

/// `::` at the head of the tokens.
fn is_path_separator(tokens: &[TokenTree]) -> bool {
    let colon = |token: &TokenTree| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ':');
    matches!(tokens, [first, second, ..] if colon(first) && colon(second))
}

/// `#[cfg(test)]` or `#[cfg(all(test, …))]` at the head of the tokens.
fn is_cfg_test(tokens: &[TokenTree]) -> bool {
    let [TokenTree::Punct(mark), TokenTree::Group(attribute), ..] = tokens else { return false };
    let text: String = attribute.stream().to_string().split_whitespace().collect();
    mark.as_char() == '#' && (text == "cfg(test)" || text.starts_with("cfg(all(test,"))
}

// ---- does the check itself work? ------------------------------------------------------------

/// The edges that made-up files have, as `from>to`.
fn edges(files: &[(&str, &str)]) -> Vec<String> {
    let scan = scan(files);
    scan.edges.keys().map(|Edge { from, to }| format!("{from}>{to}")).collect()
}

fn scan(files: &[(&str, &str)]) -> Scan {
    let sources = files.iter().map(|&(name, text)| (name.to_owned(), text.to_owned())).collect();
    Scan::of(&sources)
}

const EMPTY: [(&str, &str); 4] = [("sys.rs", ""), ("task/mod.rs", ""), ("wait/mod.rs", ""), ("lib.rs", "")];

fn with(files: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    EMPTY.iter().chain(files).copied().collect()
}

#[test]
fn the_scanner_finds_every_kind_of_path() {
    let cases: [(&str, &str, &[&str]); 16] = [
        ("chan/list.rs", "use crate::wait::Waiter;", &["chan>wait"]),
        (
            "chan/list.rs",
            "pub(crate) use crate::{sys::prim, task::{self, Header}, wait};",
            &["chan>sys", "chan>task", "chan>wait"],
        ),
        ("chan/list.rs", "use super::super::wait; use super::word::Word;", &["chan>wait"]),
        ("chan/list.rs", "use super::{super::{sys, task::T}, word};", &["chan>sys", "chan>task"]),
        (
            "chan/mod.rs",
            "fn f() { super::wait::wait(crate::task::current::<u8>()) }",
            &["chan>task", "chan>wait"],
        ),
        ("chan/mod.rs", "mod inner { use super::word; use super::super::sys; }", &["chan>sys"]),
        (
            "chan/mod.rs",
            "macro_rules! m { () => { $crate::task::t!($crate::wait::x) } }",
            &["chan>task", "chan>wait"],
        ),
        ("chan/mod.rs", "fn f() { println!(\"{}\", [crate::sys::x()]) }", &["chan>sys"]),
        ("chan/mod.rs", "use crate::*;", &["chan>* of the crate root"]),
        ("chan/mod.rs", "use crate::elsewhere::X;", &["chan>elsewhere"]),
        ("chan/mod.rs", "// crate::wait\n/// crate::task\nconst S: &str = \"crate::sys::x\";", &[]),
        ("chan/mod.rs", "#[cfg(test)] mod tests { use crate::wait::W; } use crate::sys::S;", &["chan>sys"]),
        (
            "chan/mod.rs",
            "#[cfg(all(test, not(loom)))] #[x] use crate::wait::W; use crate::sys::S;",
            &["chan>sys"],
        ),
        ("chan/mod.rs", "struct S { #[cfg(test)] a: crate::wait::W, b: crate::sys::S }", &["chan>sys"]),
        ("chan/mod.rs", "#[cfg(not(test))] use crate::wait::W;", &["chan>wait"]),
        (
            "chan/mod.rs",
            "pub(super) fn f(self) -> impl Fn(crate::chan::X) {} pub(in crate::chan) fn g() {}",
            &[],
        ),
    ];
    for (name, text, expected) in cases {
        let mut files: Vec<(&str, &str)> = EMPTY.to_vec();
        files.push((name, text));
        assert_eq!(edges(&files), expected, "in {text}");
    }
}

#[test]
fn files_of_tests_are_left_out() {
    let files = with(&[
        ("chan/mod.rs", "#[cfg(test)] mod tests; use crate::wait::W;"),
        ("chan/tests.rs", "use crate::task::T;"),
        ("chan/tests/more.rs", "use crate::sys::T;"),
    ]);
    let scan = scan(&files);
    assert_eq!(scan.edges.len(), 1);
    assert_eq!(scan.files, EMPTY.len() + 1);
}

#[test]
fn names_of_the_root_lead_to_their_modules() {
    let files = [
        ("lib.rs", "mod task; pub use task::{go, join::Handle as H}; pub use wait::wait; use std::fmt;"),
        ("task.rs", "#[macro_export] macro_rules! local { () => {} }"),
        ("wait.rs", ""),
        ("chan.rs", "fn f() { crate::go(|| crate::wait(1)); crate::local!(); }"),
    ];
    assert_eq!(edges(&files), ["chan>task", "chan>wait"]);
}

#[test]
fn forbidden_edges_unknown_modules_and_cycles_are_reported() {
    let policy = Policy::parse(POLICY).unwrap();
    let complaints = |files: &[(&'static str, &'static str)]| policy.violations(&scan(&with(files)));
    assert_eq!(complaints(&[("chan/mod.rs", "use crate::{sys, task, wait};")]), [""; 0]);
    assert_eq!(
        complaints(&[("fiber/stack.rs", "use crate::task::T;")]),
        ["src/fiber/stack.rs: `fiber` imports `task`, which does not lie below it",]
    );
    assert_eq!(complaints(&[("extra.rs", "")]), ["module `extra` has no place in the policy"]);
    assert_eq!(
        complaints(&[("chan.rs", "use crate::gone::X;")]),
        ["src/chan.rs: `chan` imports `gone`, which is no module of the policy",]
    );
    let found = complaints(&[("chan.rs", "use crate::select::X;"), ("select.rs", "use crate::chan::X;")]);
    assert_eq!(
        found,
        [
            "src/chan.rs: `chan` imports `select`, which does not lie below it",
            "a cycle of imports: chan -> select -> chan",
        ]
    );
}

#[test]
fn the_policy_is_read_as_it_is_written() {
    let policy = Policy::parse(POLICY).unwrap();
    let below = |module: &str| policy.below[module].iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(below("sys"), [""; 0]);
    assert_eq!(below("fiber"), ["sys"]);
    assert_eq!(below("clock"), ["sys"]);
    assert_eq!(below("spawn"), ["clock", "fiber", "sys", "task", "wait"]);
    assert_eq!(below("scheduler"), ["clock", "dump", "fiber", "queue", "sys", "task", "unwind", "wait"]);
    assert!(!below("chan").contains(&"scheduler") && !below("select").contains(&"runtime"));
    assert!(below("time").contains(&"chan") && below("context").contains(&"time"));
    assert_eq!(policy.below.len(), 23);
    assert!(Policy::parse("NONE < a; a < b; b < a;").is_err());
    assert!(Policy::parse("NONE < a; c < b;").is_err());
}
