//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// What the program prints for `--help` and behind every complaint about its arguments.
pub(crate) const USAGE: &str = "\
usage: fetch [OPTION]... [URL|-]...

Fetches URLs and says how it went. They are arguments, lines of a file, or lines of
standard input (-); empty lines and those that begin with # do not count. Without
any, it fetches the pages of a site that it serves itself, of which some are slow
and some fail.

  --file FILE        URLs from a file
  --concurrency N    how many are fetched at once (64)
  --rate N           how many requests are sent per second (no limit)
  --timeout T        for one request with its answer (10s; for the own site 1s)
  --total T          for everything (no limit)
  --retries N        how often a request is repeated that failed in a way that may pass (3)
  --backoff T        before it is repeated for the first time; then twice as long, and so on (100ms)
  --pages N          how many pages the own site has (10000)
  --each             prints a line for each URL
  --json             prints JSON

T is a time such as 500ms, 10s or 2m.

Exit codes: 0 done, 1 some URLs could not be fetched (of others' sites) or time was up,
2 bad arguments, 130 interrupted.
";

/// What the user asked for.
#[derive(Debug, PartialEq)]
pub(crate) enum Request {
    Help,
    Run(Arguments),
}

#[derive(Debug, PartialEq)]
pub(crate) struct Arguments {
    /// None means the own site.
    pub(crate) inputs: Vec<Input>,
    pub(crate) concurrency: usize,
    pub(crate) rate: Option<f64>,
    timeout: Option<Duration>,
    pub(crate) total: Option<Duration>,
    pub(crate) retries: u32,
    pub(crate) backoff: Duration,
    pub(crate) pages: usize,
    pub(crate) each: bool,
    pub(crate) json: bool,
}

/// Where URLs come from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Input {
    Url(String),
    File(PathBuf),
    Stdin,
}

impl Default for Arguments {
    fn default() -> Self {
        Self {
            inputs: Vec::new(),
            concurrency: 64,
            rate: None,
            timeout: None,
            total: None,
            retries: 3,
            backoff: Duration::from_millis(100),
            pages: 10_000,
            each: false,
            json: false,
        }
    }
}

impl Arguments {
    /// For one request.
    pub(crate) fn timeout(&self) -> Duration {
        let usual = if self.inputs.is_empty() { 1 } else { 10 };
        self.timeout.unwrap_or(Duration::from_secs(usual))
    }
}

/// Reads the arguments behind the program's name. The error says what is wrong with them.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Request, String> {
    let mut parsed = Arguments::default();
    let mut pages = None;
    let mut arguments = arguments.into_iter();
    let mut only_urls = false;
    while let Some(argument) = arguments.next() {
        let text = argument.to_str().ok_or_else(|| format!("{argument:?} is no text"))?;
        let (name, inline) = match text.split_once('=') {
            Some((name, value)) if text.starts_with("--") => (name, Some(OsString::from(value))),
            _ => (text, None),
        };
        let is_flag = matches!(name, "--each" | "--json" | "--help");
        if let (true, false, Some(_)) = (is_flag, only_urls, &inline) {
            return Err(format!("{name} takes no value"));
        }
        let value = || inline.or_else(|| arguments.next()).ok_or_else(|| format!("{name} needs a value"));
        match name {
            _ if only_urls => parsed.inputs.push(url(text)?),
            "--" => only_urls = true,
            "-h" | "--help" => return Ok(Request::Help),
            "-" => parsed.inputs.push(Input::Stdin),
            "--file" => parsed.inputs.push(file(value()?)?),
            "--concurrency" => parsed.concurrency = number(name, &value()?, 1, 10_000)?,
            "--rate" => parsed.rate = Some(rate(&value()?)?),
            "--timeout" => parsed.timeout = Some(time(name, &value()?)?),
            "--total" => parsed.total = Some(time(name, &value()?)?),
            "--retries" => parsed.retries = number(name, &value()?, 0, 100)? as u32,
            "--backoff" => parsed.backoff = time(name, &value()?)?,
            "--pages" => pages = Some(number(name, &value()?, 1, 10_000_000)?),
            "--each" => parsed.each = true,
            "--json" => parsed.json = true,
            _ if text.starts_with('-') => return Err(format!("unknown option {text}")),
            _ => parsed.inputs.push(url(text)?),
        }
    }
    if pages.is_some() && !parsed.inputs.is_empty() {
        return Err("--pages is for the own site, and there are URLs".to_owned());
    }
    if parsed.inputs.iter().filter(|input| **input == Input::Stdin).count() > 1 {
        return Err("standard input can be read once only".to_owned());
    }
    parsed.pages = pages.unwrap_or(parsed.pages);
    Ok(Request::Run(parsed))
}

fn url(text: &str) -> Result<Input, String> {
    if text.trim().is_empty() { Err("a URL is empty".to_owned()) } else { Ok(Input::Url(text.to_owned())) }
}

fn file(path: OsString) -> Result<Input, String> {
    match path.to_str() {
        Some("") => Err("FILE is empty".to_owned()),
        Some("-") => Ok(Input::Stdin),
        _ => Ok(Input::File(path.into())),
    }
}

fn number(name: &str, value: &OsString, least: usize, most: usize) -> Result<usize, String> {
    match value.to_str().and_then(|text| text.parse().ok()) {
        Some(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("{name} takes a number from {least} to {most}, not {value:?}")),
    }
}

fn rate(value: &OsString) -> Result<f64, String> {
    match value.to_str().and_then(|text| text.parse().ok()) {
        Some(rate) if rate > 0.0 && f64::is_finite(rate) => Ok(rate),
        _ => Err(format!("--rate takes a number above 0, not {value:?}")),
    }
}

fn time(name: &str, value: &OsString) -> Result<Duration, String> {
    let parsed = value.to_str().and_then(|text| {
        let at = text.find(|c: char| c.is_ascii_alphabetic())?;
        let seconds = match &text[at..] {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        let time = Duration::try_from_secs_f64(text[..at].parse::<f64>().ok()? * seconds).ok()?;
        (!time.is_zero() && time < Duration::from_secs(1_000_000_000)).then_some(time)
    });
    parsed.ok_or_else(|| format!("{name} takes a time such as 500ms, 10s or 2m, not {value:?}"))
}
