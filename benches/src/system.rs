//! The systems: a program, the name it has there, and the variant.

use crate::args::Mode;
use crate::row::Row;

/// A system by its name, such as `kanal-current-mimalloc`: kanal's row on tokio's runtime of one thread, in the
/// program that allocates with mimalloc.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct System {
    pub(crate) name: String,
    /// Without the variants.
    pub(crate) base: String,
    /// What the program gets as `--mode`.
    pub(crate) mode: Option<&'static str>,
    pub(crate) mimalloc: bool,
}

impl System {
    pub(crate) fn parse(name: &str) -> System {
        let (rest, mimalloc) = match name.strip_suffix("-mimalloc") {
            Some(rest) => (rest, true),
            None => (name, false),
        };
        let modes = ["pinned", "migrate", "current"];
        let with_mode = modes.iter().find_map(|mode| {
            let rest = rest.strip_suffix(mode)?.strip_suffix('-')?;
            Some((rest, *mode))
        });
        let (base, mode) = with_mode.map_or((rest, None), |(rest, mode)| (rest, Some(mode)));
        System { name: name.to_owned(), base: base.to_owned(), mode, mimalloc }
    }

    /// The package of its program, if that is in Rust.
    pub(crate) fn package(&self) -> Option<&'static str> {
        match self.base.as_str() {
            "go" => None,
            "gosched" => Some("bench-gosched"),
            // They change what belongs to the whole process.
            "may" | "go-lib" => Some("bench-coroutines"),
            _ => Some("bench-peers"),
        }
    }

    pub(crate) fn is_ours(&self) -> bool {
        self.base == "gosched"
    }
}

/// Whether a name in the results is one of gosched's.
pub(crate) fn is_ours(name: &str) -> bool {
    System::parse(name).is_ours()
}

/// The systems of a row: gosched in its modes, and those others that are wanted (all if none are named).
pub(crate) fn of(row: &Row, mode: Mode, wanted: &[String]) -> Vec<System> {
    // What says hello says it in the default mode.
    let mode = if row.hello { Mode::Pinned } else { mode };
    let others = row.systems.iter().filter(|name| *name != "gosched");
    let others = others.filter(|name| wanted.is_empty() || wanted.contains(name)).map(String::as_str);
    mode.systems().iter().copied().chain(others).map(System::parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_variants() {
        let parts = |name: &str| {
            let system = System::parse(name);
            (system.base.clone(), system.mode, system.mimalloc)
        };
        assert_eq!(parts("go"), ("go".into(), None, false));
        assert_eq!(parts("gosched-pinned"), ("gosched".into(), Some("pinned"), false));
        assert_eq!(parts("tokio-current"), ("tokio".into(), Some("current"), false));
        assert_eq!(parts("kanal-current-mimalloc"), ("kanal".into(), Some("current"), true));
        assert_eq!(parts("kanal-threads"), ("kanal-threads".into(), None, false));
        assert_eq!(parts("async-channel-mimalloc"), ("async-channel".into(), None, true));
    }

    #[test]
    fn gosched_is_there_in_its_modes_and_others_as_wanted() {
        let text = "title='T'\nwhat='W'\nfair='F'\nmetric='m'\nunit='ns'\nbetter='less'\nn=1\n\
                    systems=['gosched','go','tokio']";
        let row = Row::parse("r", text).unwrap();
        let names = |mode, wanted: &[String]| -> Vec<String> {
            of(&row, mode, wanted).into_iter().map(|system| system.name).collect()
        };
        assert_eq!(names(Mode::Both, &[]), ["gosched-pinned", "gosched-migrate", "go", "tokio"]);
        assert_eq!(names(Mode::Pinned, &["go".into()]), ["gosched-pinned", "go"]);
    }
}
