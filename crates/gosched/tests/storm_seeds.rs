//! A thousand short programs of sends, receives, selects, time-outs, futures dropped while they wait, messages
//! that are not made after all, and closes; each drawn from a seed, and each on goroutines, threads and async
//! tasks at once. Every message keeps a record of what became of it: none is lost, none is doubled, and what an
//! operation returned is what happened (C08, C27, S06).
//!
//! What fails names its seed: `GOSCHED_STORM_SEED=n` runs that program alone, two hundred times, in all modes.
//! `GOSCHED_STORM_SEEDS=n` runs that many seeds instead of a thousand.
#![allow(non_snake_case)]

mod common;

use common::{Dice, Mode, block_on, bounded_as, modes};
use futures_core::Stream as _;
use futures_sink::Sink as _;
use gosched::chan::{self, Receiver, SendError, SendTimeoutError, Sender, TrySendError};
use gosched::runtime::Handle;
use gosched::{Select, select, select_async, select_biased, time, wait, yield_now};
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

const SEEDS: u64 = 1000;
/// Operations of one party.
const TURNS: usize = 12;

/// What became of one message.
#[derive(Default)]
struct Fate {
    made: AtomicU8,
    received: AtomicU8,
    dropped: AtomicU8,
    /// What the send said: nothing, if it was dropped before it was ready.
    sent: AtomicU8,
}

const SENT: u8 = 1;
const REFUSED: u8 = 2;

/// The records of all messages of one run.
struct Ledger(Vec<Fate>);

/// A message.
struct Token {
    id: usize,
    ledger: Arc<Ledger>,
}

impl Token {
    fn receive(self) {
        self.ledger.0[self.id].received.fetch_add(1, SeqCst);
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.ledger.0[self.id].dropped.fetch_add(1, SeqCst);
    }
}

impl Ledger {
    /// Fails if a message was lost or doubled, or is not where the operation on it said.
    fn check(&self) -> usize {
        for (id, fate) in self.0.iter().enumerate() {
            let [made, received, dropped, sent] =
                [&fate.made, &fate.received, &fate.dropped, &fate.sent].map(|count| count.load(SeqCst));
            let what =
                format!("message {id}: made {made}, received {received}, dropped {dropped}, sent {sent}");
            assert_eq!(dropped, made, "not dropped exactly once; {what}");
            assert!(received <= made, "doubled; {what}");
            match sent {
                SENT => assert_eq!(received, 1, "sent and lost; {what}"),
                REFUSED => assert_eq!(received, 0, "refused and received; {what}"),
                _ => {}
            }
        }
        self.0.iter().filter(|fate| fate.received.load(SeqCst) == 1).count()
    }
}

type Channel = (Sender<Token>, Receiver<Token>);

/// One of those who act in a run.
struct Party {
    dice: Dice,
    channels: Arc<Vec<Channel>>,
    ledger: Arc<Ledger>,
    next: usize,
}

/// Polls a future a few times and drops it if it is not ready by then.
async fn give_up<F: Future>(mut polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(move |cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if polls == 0 => Poll::Ready(None),
        Poll::Pending => {
            polls -= 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}

impl Party {
    fn channel(&mut self) -> Channel {
        let at = self.dice.below(self.channels.len());
        self.channels[at].clone()
    }

    fn pause(&mut self) -> Duration {
        Duration::from_micros([0, 0, 5, 20, 50, 150][self.dice.below(6)])
    }

    /// The message to come next; it is made only by [`Party::make`].
    fn id(&mut self) -> usize {
        self.next += 1;
        self.next - 1
    }

    fn make(&self, id: usize) -> Token {
        self.ledger.0[id].made.fetch_add(1, SeqCst);
        Token { id, ledger: self.ledger.clone() }
    }

    /// Notes what the send of a message said, and drops the message if it came back.
    fn note<E>(&self, id: usize, sent: Result<(), E>) {
        self.ledger.0[id].sent.store(if sent.is_ok() { SENT } else { REFUSED }, SeqCst);
    }

    /// A message that came back is the one that was sent.
    fn note_back(&self, id: usize, sent: Result<(), SendError<Token>>) {
        assert!(sent.as_ref().err().is_none_or(|error| error.0.id == id));
        self.note(id, sent);
    }

    /// Everything it does, blocking in whatever way the caller blocks.
    fn act(&mut self) {
        for _ in 0..TURNS {
            self.turn();
        }
    }

    fn turn(&mut self) {
        let ((tx, rx), (tx2, rx2)) = (self.channel(), self.channel());
        let (pause, polls, id) = (self.pause(), self.dice.below(4), self.id());
        let gives_up = self.dice.below(3) == 0;
        match self.dice.below(22) {
            0 | 1 => self.note_back(id, tx.send(self.make(id))),
            2 => {
                let sent = tx.try_send(self.make(id));
                let back = |error: &TrySendError<Token>| match error {
                    TrySendError::Full(token) | TrySendError::Disconnected(token) => token.id == id,
                };
                assert!(sent.as_ref().err().is_none_or(back));
                self.note(id, sent);
            }
            3 => {
                let sent = tx.send_timeout(self.make(id), pause);
                let back = |error: &SendTimeoutError<Token>| match error {
                    SendTimeoutError::Timeout(token) | SendTimeoutError::Disconnected(token) => {
                        token.id == id
                    }
                };
                assert!(sent.as_ref().err().is_none_or(back));
                self.note(id, sent);
            }
            4 => {
                if let Some(sent) = wait(give_up(polls, tx.send_async(self.make(id)))) {
                    self.note_back(id, sent);
                }
            }
            5 | 6 => drop(rx.recv().map(Token::receive)),
            7 => drop(rx.try_recv().map(Token::receive)),
            8 => drop(rx.recv_timeout(pause).map(Token::receive)),
            9 => drop(wait(give_up(polls, rx.recv_async())).map(|got| got.map(Token::receive))),
            10 => select! {
                recv(rx) -> got => drop(got.map(Token::receive)),
                recv(rx2) -> got => drop(got.map(Token::receive)),
            },
            11 => select_biased! {
                send(tx, self.make(id)) -> sent => self.note_back(id, sent),
                recv(rx2) -> got => drop(got.map(Token::receive)),
                default => {}
            },
            12 => select! {
                recv(rx) -> got => drop(got.map(Token::receive)),
                send(tx2, self.make(id)) -> sent => self.note_back(id, sent),
                default(pause) => {}
            },
            13 => select! {
                send(tx, self.make(id)) -> sent => self.note_back(id, sent),
                send(tx2, self.make(id)) -> sent => self.note_back(id, sent),
                recv(chan::after(pause)) -> _ => {}
            },
            14 => select_biased! {
                recv(rx) -> got => drop(got.map(Token::receive)),
                recv(rx2) -> got => drop(got.map(Token::receive)),
                recv(rx) -> got => drop(got.map(Token::receive)),
                recv(chan::tick(pause.max(Duration::from_micros(1)))) -> _ => {}
            },
            // A message that takes its time, and then perhaps does not come.
            15 | 16 => 'no_message: {
                select! {
                    send(tx, {
                        if pause.is_zero() { yield_now() } else { time::sleep(pause) }
                        if gives_up {
                            break 'no_message;
                        }
                        self.make(id)
                    }) -> sent => self.note_back(id, sent),
                    recv(rx2) -> got => drop(got.map(Token::receive)),
                }
            }
            17 | 18 => self.select_from_a_list(id, pause),
            19 => drop(wait(give_up(polls, async {
                select_async! {
                    recv(rx) -> got => drop(got.map(Token::receive)),
                    send(tx2, self.make(id)) -> sent => self.note_back(id, sent),
                }
            }))),
            20 => yield_now(),
            _ => {
                let mut stream = rx.stream();
                let next = poll_fn(|cx| Pin::new(&mut stream).poll_next(cx));
                let _ = wait(give_up(polls, next)).map(|got| got.map(Token::receive));
            }
        }
        if self.dice.below(150) == 0 {
            tx.close();
        }
    }

    fn select_from_a_list(&mut self, id: usize, pause: Duration) {
        let picks: Vec<_> =
            (0..1 + self.dice.below(5)).map(|_| (self.dice.below(2) == 0, self.channel())).collect();
        let mut select = if self.dice.below(2) == 0 { Select::new() } else { Select::new_biased() };
        for (sends, (tx, rx)) in &picks {
            if *sends {
                select.send(tx)
            } else {
                select.recv(rx)
            };
        }
        let chosen = match self.dice.below(4) {
            0 => select.try_select().ok(),
            1 => Some(select.select()),
            2 => {
                // It may be another's by the time it is tried.
                let _ = select.ready_timeout(pause);
                select.try_select().ok()
            }
            _ => select.select_timeout(pause).ok(),
        };
        let Some(operation) = chosen else { return };
        match &picks[operation.index()] {
            (true, (tx, _)) => self.note_back(id, operation.send(tx, self.make(id))),
            (false, (_, rx)) => drop(operation.recv(rx).map(Token::receive)),
        }
    }

    /// The same for async tasks.
    async fn act_async(&mut self) {
        for _ in 0..TURNS {
            let ((tx, rx), (tx2, rx2)) = (self.channel(), self.channel());
            let (pause, polls, id) = (self.pause(), self.dice.below(4), self.id());
            match self.dice.below(10) {
                0 => self.note_back(id, tx.send_async(self.make(id)).await),
                1 => drop(rx.recv_async().await.map(Token::receive)),
                2 => {
                    if let Some(sent) = give_up(polls, tx.send_async(self.make(id))).await {
                        self.note_back(id, sent);
                    }
                }
                3 => drop(give_up(polls, rx.recv_async()).await.map(|got| got.map(Token::receive))),
                4 => select_async! {
                    recv(rx) -> got => drop(got.map(Token::receive)),
                    recv(rx2) -> got => drop(got.map(Token::receive)),
                    send(tx, self.make(id)) -> sent => self.note_back(id, sent),
                },
                5 => select_async! {
                    send(tx, {
                        time::sleep_async(pause).await;
                        self.make(id)
                    }) -> sent => self.note_back(id, sent),
                    recv(rx2) -> got => drop(got.map(Token::receive)),
                    default(pause) => {}
                },
                6 => {
                    let select = async {
                        select_async! {
                            send(tx2, self.make(id)) -> sent => self.note_back(id, sent),
                            recv(rx) -> got => drop(got.map(Token::receive)),
                        }
                    };
                    give_up(polls, select).await;
                }
                7 => select_async! {
                    recv(rx) -> got => drop(got.map(Token::receive)),
                    recv(chan::after(pause)) -> _ => {}
                },
                8 => {
                    let mut sink = tx.clone().into_sink();
                    if Pin::new(&mut sink).start_send(self.make(id)).is_ok() {
                        let flush = poll_fn(|cx| Pin::new(&mut sink).poll_flush(cx));
                        if let Some(sent) = give_up(polls, flush).await {
                            self.note(id, sent);
                        }
                    }
                }
                _ => {
                    let mut stream = rx.clone().into_stream();
                    let next = poll_fn(|cx| Pin::new(&mut stream).poll_next(cx));
                    let _ = give_up(polls, next).await.map(|got| got.map(Token::receive));
                }
            }
        }
    }
}

/// Somebody at work.
enum Running {
    Goroutine(gosched::JoinHandle<()>),
    Thread(thread::JoinHandle<()>),
}

impl Running {
    fn is_finished(&self) -> bool {
        match self {
            Self::Goroutine(handle) => handle.is_finished(),
            Self::Thread(handle) => handle.is_finished(),
        }
    }
}

fn start(kind: usize, mut party: Party, runtime: &Handle) -> Running {
    match kind % 8 {
        0 => Running::Thread(thread::spawn(move || party.act())),
        1 => Running::Thread(thread::spawn(move || block_on(async move { party.act_async().await }))),
        2 => Running::Goroutine(runtime.go_async(async move { party.act_async().await })),
        // Blocking calls inside a poll, of a stackless goroutine and of a stackful one's future.
        3 => Running::Goroutine(runtime.go_async(async move { party.act() })),
        4 => Running::Goroutine(runtime.go(move || wait(async move { party.act() }))),
        _ => Running::Goroutine(runtime.go(move || party.act())),
    }
}

/// Runs the program of one seed and says how many messages were received.
fn run(seed: u64, runtime: &Handle) -> usize {
    let mut dice = Dice::new(seed);
    let caps: Vec<_> =
        (0..1 + dice.below(3)).map(|_| [Some(0), Some(0), Some(1), Some(2), None][dice.below(5)]).collect();
    let channels: Arc<Vec<Channel>> =
        Arc::new(caps.into_iter().map(|cap| cap.map_or_else(chan::unbounded, chan::bounded)).collect());
    let parties = 2 + dice.below(6);
    let ledger = Arc::new(Ledger((0..parties * TURNS).map(|_| Fate::default()).collect()));
    let running: Vec<_> = (0..parties)
        .map(|party| {
            let party = Party {
                dice: Dice::new(dice.throw()),
                channels: channels.clone(),
                ledger: ledger.clone(),
                next: party * TURNS,
            };
            start(dice.below(8), party, runtime)
        })
        .collect();
    // Whoever is left without a partner is released by closing, some time or when all others have ended.
    let patience = Duration::from_micros([200, 500, 1000, 2000][dice.below(4)]);
    let end = Instant::now() + patience;
    while !running.iter().all(Running::is_finished) && Instant::now() < end {
        thread::sleep(Duration::from_micros(50));
    }
    channels.iter().for_each(|(tx, _)| _ = tx.close());
    for party in running {
        match party {
            Running::Goroutine(handle) => handle.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Running::Thread(handle) => handle.join().unwrap_or_else(|panic| resume_unwind(panic)),
        }
    }
    channels.iter().for_each(|(_, rx)| rx.try_iter().for_each(Token::receive));
    // With the channels goes whatever they still hold.
    drop(channels);
    ledger.check()
}

#[test]
fn C27_and_S06_a_thousand_programs_lose_and_double_nothing() {
    let modes = modes();
    let number = |name| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let (only, seeds) = (number("GOSCHED_STORM_SEED"), number("GOSCHED_STORM_SEEDS").unwrap_or(SEEDS));
    let mut received = 0;
    for (round, seed) in only.map_or(0..seeds, |_| 0..200).map(|round| (round, only.unwrap_or(round))) {
        let Mode { name, runtime } = &modes[(round % modes.len() as u64) as usize];
        let handle = runtime.handle();
        let what = format!("the program of seed {seed}, {name},");
        let ran = catch_unwind(AssertUnwindSafe(|| bounded_as(&what, move || run(seed, &handle))));
        received += ran.unwrap_or_else(|panic| {
            eprintln!("that was {what} GOSCHED_STORM_SEED={seed} runs it again");
            resume_unwind(panic)
        });
    }
    assert!(received as u64 > seeds.min(200), "the programs did hardly anything: {received}");
}
