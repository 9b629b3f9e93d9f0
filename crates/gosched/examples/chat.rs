//! `chat`: what one says, all hear. The classic of Go's books: a goroutine that owns the list of clients, and channels.
//!
//! ```text
//! cargo run --example chat                           # a server and three clients that talk by themselves
//! cargo run --example chat -- serve [ADDRESS]        # 127.0.0.1:8000
//! cargo run --example chat -- join NAME [ADDRESS]    # or: telnet 127.0.0.1 8000
//! ```
//!
//! Each connection has two goroutines: one reads lines and hands them to the hub, one writes what the hub sends it. The hub
//! alone knows the clients, so there is no lock. A client that does not read fills its channel and is dropped: nobody
//! waits for it.

use gosched::chan::{self, Receiver, Sender, TrySendError};
use gosched::net::{TcpListener, TcpStream};
use gosched::{go, select};
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::process::ExitCode;
use std::sync::Arc;

const ADDRESS: &str = "127.0.0.1:8000";
/// How many lines a client may be behind.
const BACKLOG: usize = 64;

type Line = Arc<str>;

/// A client as the hub knows it.
struct Client {
    name: Line,
    lines: Sender<Line>,
}

/// The ways to the hub.
#[derive(Clone)]
struct Hub {
    entering: Sender<Client>,
    leaving: Sender<Line>,
    messages: Sender<Line>,
}

#[gosched::main]
fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args[..] {
        [] => demonstrate(),
        ["serve"] => TcpListener::bind(ADDRESS).map(|listener| serve(&listener)),
        ["serve", address] => TcpListener::bind(address).map(|listener| serve(&listener)),
        ["join", name] => join(name, ADDRESS),
        ["join", name, address] => join(name, address),
        _ => {
            eprintln!("usage: chat [serve [ADDRESS] | join NAME [ADDRESS]]");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chat: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(listener: &TcpListener) {
    let (entering, entered) = chan::bounded(0);
    let (leaving, left) = chan::bounded(0);
    let (messages, said) = chan::bounded(0);
    go(move || broadcast(&entered, &left, &said));
    let hub = Hub { entering, leaving, messages };
    // Until it is closed.
    while let Ok((stream, _)) = listener.accept() {
        let hub = hub.clone();
        go(move || {
            // A client whose connection breaks has left, no more than that.
            let _ = attend(&stream, &hub);
        });
    }
}

/// The hub: the only one who knows the clients. Ends when nobody can reach it any more.
fn broadcast(entered: &Receiver<Client>, left: &Receiver<Line>, said: &Receiver<Line>) {
    let mut clients: BTreeMap<Line, Sender<Line>> = BTreeMap::new();
    loop {
        let line: Line = select! {
            recv(entered) -> client => {
                let Ok(Client { name, lines }) = client else { return };
                let line = format!("* {name} has come").into();
                clients.insert(name, lines);
                line
            }
            recv(left) -> name => {
                let Ok(name) = name else { return };
                clients.remove(&name);
                format!("* {name} has left").into()
            }
            recv(said) -> line => match line {
                Ok(line) => line,
                Err(_) => return,
            },
        };
        // Who is too far behind is dropped: the end of its channel ends its writer, and that the connection.
        clients.retain(|_, lines| !matches!(lines.try_send(line.clone()), Err(TrySendError::Full(_))));
    }
}

/// One connection: its first line is the client's name, all others are what it says.
fn attend(stream: &TcpStream, hub: &Hub) -> io::Result<()> {
    let mut input = BufReader::new(stream);
    let Some(name) = next_line(&mut input)? else { return Ok(()) };
    let (lines, outgoing) = chan::bounded(BACKLOG);
    let writer = stream.clone();
    go(move || {
        for line in outgoing {
            if writeln!(&writer, "{line}").is_err() {
                break;
            }
        }
        // Ends our reader, if it has not ended.
        let _ = writer.close();
    });
    let gone = |_| io::Error::other("the hub is gone");
    hub.entering.send(Client { name: name.clone(), lines }).map_err(|_| gone(()))?;
    while let Ok(Some(line)) = next_line(&mut input) {
        hub.messages.send(format!("{name}: {line}").into()).map_err(|_| gone(()))?;
    }
    hub.leaving.send(name).map_err(|_| gone(()))
}

fn next_line(input: &mut impl BufRead) -> io::Result<Option<Line>> {
    let mut line = String::new();
    match input.read_line(&mut line)? {
        0 => Ok(None),
        _ => Ok(Some(line.trim_end().into())),
    }
}

/// Talks from the terminal.
fn join(name: &str, address: &str) -> io::Result<()> {
    let stream = TcpStream::connect(address)?;
    writeln!(&stream, "{name}")?;
    let heard = stream.clone();
    go(move || {
        for line in BufReader::new(&heard).lines().map_while(Result::ok) {
            println!("{line}");
        }
    });
    loop {
        // The terminal blocks a thread: not one that runs goroutines.
        let Some(line) = gosched::blocking(|| next_line(&mut io::stdin().lock()))? else { return Ok(()) };
        writeln!(&stream, "{line}")?;
    }
}

/// A client that follows a script.
struct Guest {
    name: &'static str,
    stream: TcpStream,
    input: BufReader<TcpStream>,
}

impl Guest {
    fn new(name: &'static str, address: std::net::SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        writeln!(&stream, "{name}")?;
        Ok(Self { name, input: BufReader::new(stream.clone()), stream })
    }

    fn say(&self, line: &str) -> io::Result<()> {
        writeln!(&self.stream, "{line}")
    }

    /// Waits for a line, which it prints.
    fn hear(&mut self) -> io::Result<()> {
        let line = next_line(&mut self.input)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        println!("{} hears: {line}", self.name);
        Ok(())
    }
}

fn demonstrate() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = go({
        let listener = listener.clone();
        move || serve(&listener)
    });
    let mut ann = Guest::new("Ann", address)?;
    ann.hear()?;
    let mut bob = Guest::new("Bob", address)?;
    bob.hear()?;
    ann.hear()?;
    ann.say("hello, Bob")?;
    ann.hear()?;
    bob.hear()?;
    let mut eve = Guest::new("Eve", address)?;
    for guest in [&mut ann, &mut bob, &mut eve] {
        guest.hear()?;
    }
    bob.say("hello, all")?;
    for guest in [&mut ann, &mut bob, &mut eve] {
        guest.hear()?;
    }
    ann.stream.close()?;
    for guest in [&mut bob, &mut eve] {
        guest.hear()?;
    }
    listener.close()?;
    server.join().expect("the server does not panic");
    Ok(())
}
