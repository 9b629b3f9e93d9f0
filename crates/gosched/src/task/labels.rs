//! Labels of goroutines.

use std::fmt;
use std::sync::Arc;

/// The labels of a goroutine: texts by name, sorted by name. A clone is the same list.
///
/// Set by [`goroutine::set_labels`](crate::goroutine::set_labels), and inherited.
///
/// ```
/// use gosched::goroutine::{Labels, labels, set_labels};
///
/// gosched::run(|| {
///     set_labels([("user", "al b"), ("job", "7")]);
///     let labels: Labels = labels();
///     assert_eq!(labels.get("job"), Some("7"));
///     assert_eq!(labels.to_string(), r#"{job: 7, user: "al b"}"#);
/// });
/// ```
///
/// In Go: `pprof.LabelSet`.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Labels(Option<Arc<[(String, String)]>>);

impl Labels {
    /// Of two labels with one name the later one counts.
    pub(crate) fn new(labels: impl Iterator<Item = (String, String)>) -> Self {
        let mut sorted: Vec<(String, String)> = Vec::new();
        for (name, value) in labels {
            match sorted.binary_search_by(|(other, _)| other.cmp(&name)) {
                Ok(at) => sorted[at].1 = value,
                Err(at) => sorted.insert(at, (name, value)),
            }
        }
        Self((!sorted.is_empty()).then(|| sorted.into()))
    }

    /// The value of a label.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find_map(|(other, value)| (other == name).then_some(value))
    }

    /// Names and values, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().flat_map(|labels| labels.iter()).map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

/// As Go prints them: `{k: v, k2: "v 2"}`.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (at, (name, value)) in self.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{}: {}", Word(name), Word(value))?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// A text that is quoted if it could be mistaken for more than one word.
struct Word<'a>(&'a str);

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |c: char| c.is_alphanumeric() || "_-./@+#%=".contains(c);
        if !self.0.is_empty() && self.0.chars().all(plain) {
            f.write_str(self.0)
        } else {
            write!(f, "{:?}", self.0)
        }
    }
}
