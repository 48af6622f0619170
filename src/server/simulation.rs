//! The whole server on a simulated wire and clock: any cuts of the bytes, any deadline, without a socket or a second.

use super::event_loop::EventLoop;
use super::http1::Http1;
use super::limits;
use super::{Connection, IntoOutcome, Options, Request, Site};
use crate::net::{PeerAddr, Transport, Wire};
use crate::rt::{Key, Runtime, Woken};
use proptest::prelude::*;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// A server with one connection.
pub(super) struct World {
    event_loop: EventLoop,
    site: Site,
    pub(super) wire: Rc<RefCell<Wire>>,
    key: Key,
    now: u64,
    /// Whether the kernel tells of what comes: with many events at once, those of some come later.
    pub(super) announced: bool,
}

impl World {
    pub(super) fn new<H, R>(options: Options, handler: H) -> World
    where
        H: AsyncFn(&mut Connection, &mut Request) -> R + 'static,
        R: IntoOutcome,
    {
        let event_loop = EventLoop::new(Runtime::new().unwrap());
        let site = Site::new(options, handler);
        let wire = Rc::new(RefCell::new(Wire::default()));
        let key = connect(&event_loop, &wire, PeerAddr::Unix, &site);
        World { event_loop, site, wire, key, now: 0, announced: true }
    }

    pub(super) fn send(&self, bytes: &[u8]) {
        self.wire.borrow_mut().incoming.extend(bytes);
    }

    pub(super) fn is_open(&self) -> bool {
        self.event_loop.sessions.table.borrow().get(self.key).is_some()
    }

    /// One tick: every edge that could come does, and the clock stands where it is.
    pub(super) fn tick(&self) {
        let sessions = &self.event_loop.sessions;
        let runtime = &self.event_loop.shared.runtime;
        let _entered = runtime.enter();
        if let Some(session) = sessions.table.borrow().get(self.key) {
            let mut http1 = session.http1.borrow_mut();
            let wire = self.wire.borrow();
            http1.link.readable |= self.announced && !wire.incoming.is_empty() || wire.eof;
            http1.link.peer_closed |= wire.eof;
            http1.link.writable |= self.announced;
            http1.make_ready(&self.event_loop.shared, self.key);
        }
        let mut woken = Vec::new();
        runtime.wakes.take(&mut woken);
        for key in woken {
            if let Woken::Conn(key) = key {
                sessions.woken(key);
            }
        }
        self.event_loop.pop_timers();
        sessions.drive_ready();
    }

    /// Ticks until a tick moves nothing any more.
    pub(super) fn settle(&self) {
        for _ in 0..100_000 {
            let before = self.state();
            for _ in 0..4 {
                self.tick();
            }
            if self.state() == before {
                return;
            }
        }
        panic!("never settles");
    }

    fn state(&self) -> (bool, usize, usize, usize, usize) {
        let wire = self.wire.borrow();
        let cuts = (wire.read_cuts.len(), wire.write_cuts.len());
        (self.is_open(), wire.incoming.len(), wire.outgoing.len(), cuts.0, cuts.1)
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now += u64::try_from(time.as_millis()).unwrap();
        self.event_loop.shared.runtime.set_clock(self.now);
        self.settle();
    }

    /// As `pass`, with one tick: for a client that always has more to say.
    #[cfg(feature = "websocket")]
    pub(super) fn pass_busy(&mut self, time: Duration) {
        self.now += u64::try_from(time.as_millis()).unwrap();
        self.event_loop.shared.runtime.set_clock(self.now);
        self.tick();
    }

    /// As `pass`, with the clock looked at each second.
    pub(super) fn pass_seconds(&mut self, seconds: u64) {
        (0..seconds).for_each(|_| self.pass(Duration::from_secs(1)));
    }

    /// What was answered, with every `Date` line taken out.
    fn answers(&self) -> String {
        let wire = self.wire.borrow();
        let text = String::from_utf8_lossy(&wire.outgoing);
        text.split_inclusive("\r\n").filter(|line| !line.starts_with("Date: ")).collect()
    }
}

/// Opens one more connection.
fn connect(event_loop: &EventLoop, wire: &Rc<RefCell<Wire>>, peer: PeerAddr, site: &Site) -> Key {
    let transport = Transport::Simulated(Rc::clone(wire));
    let options = Rc::new(RefCell::new(Rc::clone(&site.options)));
    let handler = Rc::new(RefCell::new(Rc::clone(&site.handler)));
    let now = event_loop.shared.now();
    let http1 = Http1::new(transport, peer, now, options);
    event_loop.sessions.open(handler, http1).unwrap()
}

/// Reads the body in small pieces, or not at all, and answers with what it got.
async fn handler(con: &mut Connection, req: &mut Request) -> super::Result<()> {
    match req.path() {
        "/ignore" => con.send("ignored").await,
        "/stream" => {
            for piece in 0..40_u8 {
                con.send([b'g' + piece % 20; 3000]).await?;
            }
            con.flush().await
        }
        "/fixed" => {
            con.add_header("Content-Length", 5)?;
            con.send("fi").await?;
            con.send("xed").await
        }
        _ => {
            let mut body = Vec::new();
            loop {
                let piece = con.read_body(7, None).await?;
                if piece.is_empty() {
                    break;
                }
                body.extend(piece);
            }
            con.send(format!("{} {} {}", req.method(), req.path(), body.escape_ascii())).await
        }
    }
}

/// Requests of every framing, one behind the other; the last one closes.
const CONVERSATION: &[&str] = &[
    "GET /a HTTP/1.1\r\nHost: h\r\n\r\n",
    "\r\nPOST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\nhello world",
    "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n14\r\nGET / HTTP/1.1\r\n\r\n\r\n\r\n0\r\nTrailer: t\r\n\r\n",
    "HEAD /stream HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST /ignore HTTP/1.1\r\nHost: h\r\nContent-Length: 19\r\n\r\nGET /x HTTP/1.1\r\n\r\n",
    "GET /stream HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody",
    "GET /fixed HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
    "PUT /d HTTP/1.1\r\nHost: h\r\nExpect: nonsense\r\nContent-Length: 3\r\n\r\nabc",
    "POST /e HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    "GET /stream HTTP/1.0\r\n\r\n",
];

fn converse(read_cuts: Vec<usize>, write_cuts: Vec<usize>) -> String {
    let world = World::new(Options::new().high_water(4096), handler);
    world.send(CONVERSATION.concat().as_bytes());
    world.wire.borrow_mut().read_cuts = read_cuts.into();
    world.wire.borrow_mut().write_cuts = write_cuts.into();
    world.settle();
    assert!(!world.is_open(), "the last request closes");
    world.answers()
}

/// Chunk boundaries and interim replies depend on the cuts; what they carry does not.
fn essence(answers: &str) -> String {
    answers
        .replace("HTTP/1.1 100 Continue\r\n\r\n", "")
        .split("\r\n")
        .filter(|line| u64::from_str_radix(line, 16).is_err())
        .collect()
}

#[test]
fn a_conversation_is_answered_in_order() {
    let answers = converse(Vec::new(), Vec::new());
    let bodies = [
        "GET /a ",
        "POST /b hello world",
        "POST /c helloGET / HTTP/1.1\\r\\n\\r\\n",
        "ignored",
        "gggg",
        "fixed",
        "417 Expectation Failed",
        "POST /e abc",
        "gggg",
    ];
    let mut from = 0;
    for body in bodies {
        let at = answers[from..].find(body).unwrap_or_else(|| panic!("{body} is not answered in its turn"));
        from += at + body.len();
    }
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 9);
    assert_eq!(answers.matches("/x").count(), 0, "a body was taken for a request");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_cuts_give_the_same_answers(
        reads in proptest::collection::vec(prop_oneof![3 => 0..4_usize, 1 => 0..400_usize], 0..600),
        writes in proptest::collection::vec(prop_oneof![3 => 0..40_usize, 1 => 0..9000_usize], 0..200),
    ) {
        let (cut, whole) = (essence(&converse(reads, writes)), essence(&converse(Vec::new(), Vec::new())));
        let same = cut.bytes().zip(whole.bytes()).take_while(|(a, b)| a == b).count();
        prop_assert!(cut == whole, "{} and {} bytes, the same up to {same}", cut.len(), whole.len());
    }

    #[test]
    fn garbage_ends_in_an_error_or_in_silence(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut world = World::new(Options::new(), handler);
        world.send(&bytes);
        world.wire.borrow_mut().eof = true;
        world.settle();
        world.pass(limits::LINGER_TIMEOUT);
        prop_assert!(!world.is_open());
        let answers = world.answers();
        prop_assert!(answers.is_empty() || answers.starts_with("HTTP/1.1 "), "{}", answers);
    }
}

/// What was sent before the silence, which timeout ends it, how the answer begins, and the rule's name.
type Silence = (&'static str, fn(&Options) -> Duration, &'static str, &'static str);

const SILENCES: &[Silence] = &[
    (
        "GET /fixed HTTP/1.1\r\nHost: h\r\n\r\n\r\n",
        |o| o.header_timeout,
        "HTTP/1.1 200 ",
        "an empty line is no request that stalls",
    ),
    ("", |o| o.header_timeout, "", "a client that never speaks is left in silence"),
    ("GET / HT", |o| o.header_timeout, "HTTP/1.1 408 ", "a head that stalls is told so"),
    ("GET /fixed HTTP/1.1\r\nHost: h\r\n\r\n", |o| o.keep_alive, "HTTP/1.1 200 ", "idle keep-alive ends in silence"),
    (
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc",
        |o| o.body_timeout,
        "HTTP/1.1 408 ",
        "a body that stalls",
    ),
    (
        "POST /ignore HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc",
        |_| limits::DRAIN_TIMEOUT,
        "HTTP/1.1 200 ",
        "an unread body that stalls",
    ),
];

#[test]
fn every_silence_has_its_end() {
    let options = Options::new()
        .header_timeout(Duration::from_secs(11))
        .body_timeout(Duration::from_secs(12))
        .http_keepalive(Duration::from_secs(13));
    for (sent, timeout, answer, name) in SILENCES {
        let mut world = World::new(options.clone(), handler);
        world.send(sent.as_bytes());
        world.settle();
        world.pass(timeout(&options) - Duration::from_millis(1));
        assert!(world.is_open(), "{name}: too early");
        assert!(!world.answers().contains("408"), "{name}: too early");
        world.pass(Duration::from_millis(1));
        let answers = world.answers();
        assert!(if answer.is_empty() { answers.is_empty() } else { answers.starts_with(answer) }, "{name}: {answers}");
        assert_eq!(answers.matches("408").count(), answer.matches("408").count() * 2, "{name}: {answers}");
        world.pass(limits::LINGER_TIMEOUT);
        assert!(!world.is_open(), "{name}: never ends");
        assert_eq!(world.answers(), answers, "{name}: nothing follows");
    }
}

/// What a client sends before and within the time that the loop is held up, and what follows as if it had not been.
const HELD_UP: &[(&str, &str, &str)] = &[
    ("a whole head that waits", "GET /fixed HTTP/1.1\r\nHost: h\r\n", "\r\n"),
    ("a first request", "", "GET /fixed HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("a next request", "GET /fixed HTTP/1.1\r\nHost: h\r\n\r\n", "GET /fixed HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("a body", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc", "defghi"),
];

/// What came in time is read before a deadline counts: it passed only because others held up the loop.
#[test]
fn a_deadline_does_not_count_while_bytes_wait() {
    for announced in [true, false] {
        for (name, before, within) in HELD_UP {
            let mut world = World::new(Options::new(), handler);
            world.send(before.as_bytes());
            world.settle();
            world.announced = announced;
            world.send(within.as_bytes());
            world.pass(Duration::from_secs(3600));
            let answers = world.answers();
            assert!(answers.starts_with("HTTP/1.1 200 ") && !answers.contains("408"), "{name}: {answers:?}");
            let requests = before.matches("Host").count() + within.matches("Host").count();
            assert_eq!(answers.matches("HTTP/1.1 ").count(), requests, "{name}: {answers:?}");
        }
    }
}

#[test]
fn the_answer_to_a_slow_head_does_not_depend_on_the_request_before() {
    let mut world = World::new(Options::new(), handler);
    world.send(b"HEAD /fixed HTTP/1.1\r\nHost: h\r\n\r\nGET / HT");
    world.settle();
    world.pass(Duration::from_secs(3600));
    let answers = world.answers();
    let (_, reply) = answers.split_once("HTTP/1.1 408 ").unwrap();
    assert!(reply.contains("\r\n\r\n408 "), "{reply}");
}

#[test]
fn a_trickle_does_not_hold_a_slot_beyond_the_head_timeout() {
    let mut world = World::new(Options::new().header_timeout(Duration::from_secs(10)), handler);
    for second in 0..10 {
        assert!(world.is_open() && world.answers().is_empty(), "second {second}");
        world.send(b"G");
        world.pass(Duration::from_secs(1));
    }
    assert!(world.answers().starts_with("HTTP/1.1 408 "));
    world.pass(limits::LINGER_TIMEOUT);
    assert!(!world.is_open());
}

#[test]
fn a_reader_that_moves_is_waited_for_and_one_that_stands_is_not() {
    let mut world = World::new(Options::new().write_timeout(Duration::from_secs(10)).high_water(4096), handler);
    world.send(b"GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    for _ in 0..50 {
        world.wire.borrow_mut().write_cuts = vec![100, 0].into();
        world.wire.borrow_mut().stuck = false;
        world.tick();
        world.wire.borrow_mut().stuck = true;
        world.pass(Duration::from_secs(9));
        assert!(world.is_open());
    }
    world.pass(Duration::from_secs(10));
    assert!(!world.is_open());
    assert!(!world.answers().contains("\r\n0\r\n"), "it must not look whole");
}

/// A player that is paused for minutes, and then plays on.
#[test]
fn a_reader_may_stand_still_for_five_minutes() {
    for returns in [true, false] {
        let mut world = World::new(Options::new().high_water(4096), handler);
        world.send(b"GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
        world.wire.borrow_mut().write_cuts = vec![100, 0].into();
        world.wire.borrow_mut().queued = Some(100);
        world.tick();
        world.wire.borrow_mut().stuck = true;
        world.pass_seconds(299);
        assert!(world.is_open());
        world.wire.borrow_mut().stuck = !returns;
        // When exactly it began to stand, only the first look at what the kernel holds tells.
        world.pass_seconds(1 + limits::READER_LOOK.as_secs());
        assert_eq!(world.is_open(), returns);
        assert_eq!(world.answers().ends_with("\r\n0\r\n\r\n"), returns, "it must look whole only if it is");
    }
}

/// The kernel may hold megabytes, and takes no more of us long before they are read.
#[test]
fn a_reader_of_what_the_kernel_holds_does_not_stand_still() {
    let mut world = World::new(Options::new().high_water(4096), handler);
    world.send(b"GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    world.wire.borrow_mut().stuck = true;
    for left in (0..20).rev() {
        world.wire.borrow_mut().queued = Some(left);
        world.pass_seconds(299);
        assert!(world.is_open(), "{left} bytes are left");
    }
    world.pass_seconds(1 + limits::READER_LOOK.as_secs());
    assert!(!world.is_open());
}

/// What encrypts in the kernel may refuse bytes while TCP has room, and no edge comes.
#[test]
fn a_reader_is_served_though_no_edge_told_of_room() {
    for held in [100, 0] {
        let mut world = World::new(Options::new().high_water(4096), handler);
        world.send(b"GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
        world.wire.borrow_mut().queued = Some(held);
        world.wire.borrow_mut().stuck = true;
        world.settle();
        world.announced = false;
        world.wire.borrow_mut().queued = Some(0);
        world.wire.borrow_mut().stuck = false;
        world.settle();
        assert!(!world.answers().ends_with("\r\n0\r\n\r\n"), "it knew of {held}");
        world.pass_seconds(1 + limits::READER_LOOK.as_secs());
        assert!(world.answers().ends_with("\r\n0\r\n\r\n"), "{held}");
    }
}

/// Whose place a new client takes, of three that stand still, each within its share: that of the one who did so first.
#[test]
fn at_the_limit_the_one_that_stood_longest_makes_room() {
    let peer = |last: u8| PeerAddr::from(std::net::SocketAddr::from(([192, 0, 2, last], 80)));
    let mut world = World::new(Options::new().high_water(4096), handler);
    world.event_loop.acceptor.max_connections.set(3);
    let others = [1, 2].map(|last| (Rc::new(RefCell::new(Wire::default())), last));
    let keys = others.each_ref().map(|(wire, last)| connect(&world.event_loop, wire, peer(*last), &world.site));
    let mut readers = vec![(Rc::clone(&world.wire), world.key)];
    readers.extend(others.into_iter().map(|(wire, _)| wire).zip(keys));
    let by_age = [1, 2, 0];
    for reader in by_age {
        (world.wire, world.key) = readers[reader].clone();
        world.wire.borrow_mut().queued = Some(1000);
        world.wire.borrow_mut().stuck = true;
        world.send(b"GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
        world.pass(Duration::from_secs(10));
    }
    let mut gone = Vec::new();
    // How fast they are is first measured when room is needed.
    assert!(!world.event_loop.acceptor.make_room(&peer(9)), "nobody has stood for half a minute");
    while gone.len() < by_age.len() {
        world.pass(limits::FRESH);
        world.event_loop.acceptor.max_connections.set(readers.len() - gone.len());
        if world.event_loop.acceptor.make_room(&peer(9)) {
            let open = |at: &usize| world.event_loop.sessions.table.borrow().get(readers[*at].1).is_some();
            gone.extend(by_age.iter().filter(|at| !open(at) && !gone.contains(at)).collect::<Vec<_>>());
        }
        assert!(world.now < 300_000, "{gone:?}");
    }
    assert_eq!(gone, by_age.each_ref());
    assert!(world.now > 30_000, "each may stand for half a minute");
}

/// After a flood, its lines are told of though silence follows.
#[test]
fn lines_that_were_not_logged_are_told_of_in_time() {
    let mut world = World::new(Options::new(), handler);
    for _ in 0..3 {
        let lines = (0..1000).filter(|_| world.event_loop.shared.takes_log_line(&PeerAddr::Unix)).count();
        assert_eq!(lines, limits::LOGGED_LINES as usize);
        world.pass(limits::LOG_WINDOW - Duration::from_millis(1));
        assert!(!world.event_loop.shared.takes_log_line(&PeerAddr::Unix));
        assert_eq!(world.event_loop.shared.log_lines.borrow().suppressed().count(), 1);
        world.pass(Duration::from_millis(1));
        assert_eq!(world.event_loop.shared.log_lines.borrow().suppressed().count(), 0);
    }
}

#[test]
fn waiting_output_is_bounded_by_the_high_water_mark() {
    let world = World::new(Options::new().high_water(4096), handler);
    world.wire.borrow_mut().stuck = true;
    world.send(b"GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    world.settle();
    let table = world.event_loop.sessions.table.borrow();
    let http1 = table.get(world.key).unwrap().http1.borrow();
    let waits = http1.in_flight.as_ref().map_or(0, |in_flight| in_flight.output.mem());
    assert!((3000..4096 + 512).contains(&waits), "{waits} bytes wait");
}

#[test]
fn a_connection_that_is_done_owns_no_buffer() {
    let world = World::new(Options::new(), handler);
    world.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
    world.settle();
    let table = world.event_loop.sessions.table.borrow();
    let http1 = table.get(world.key).unwrap().http1.borrow();
    assert!(http1.in_flight.is_none() && http1.input.is_empty() && http1.waits_for_request());
}

/// A peer that ended its direction is asked once whether it is there, a second later, and only before the head.
#[test]
fn a_peer_is_asked_after_a_while() {
    let slow = async |con: &mut Connection, _: &mut Request| {
        con.notice_departure();
        crate::sleep(Duration::from_secs(3600)).await;
        con.send("late").await
    };
    for (version, asked) in [("1.1", 1), ("1.0", 0)] {
        let mut world = World::new(Options::new(), slow);
        world.send(format!("GET / HTTP/{version}\r\nHost: h\r\n\r\n").as_bytes());
        world.settle();
        world.wire.borrow_mut().eof = true;
        world.settle();
        world.pass(limits::PROBE_AFTER - Duration::from_millis(1));
        assert_eq!(world.answers(), "", "{version}: too early");
        for _ in 0..3 {
            world.pass(limits::PROBE_AFTER);
            assert!(world.is_open(), "{version}: the handler is still waited for");
            assert_eq!(world.answers(), "HTTP/1.1 100 Continue\r\n\r\n".repeat(asked), "{version}");
        }
    }
}

/// What an idle connection costs, beside its socket: these two, and an entry in the table of deadlines.
#[test]
fn an_idle_connection_is_small() {
    let (http1, session) = (size_of::<Http1>(), size_of::<super::session::Session>());
    // What is counted for each, and what is known of a key that the kernel has.
    let counts = if cfg!(feature = "stats") { 24 } else { 0 };
    let key = if cfg!(feature = "ktls") { 16 } else { 0 };
    assert!(http1 <= 248 + counts + key && session <= 64, "{http1} and {session} bytes");
}
