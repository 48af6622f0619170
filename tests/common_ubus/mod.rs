//! A stand-in for ubusd, with objects of its own: the wire's format, and every way to answer or not to.
//!
//! It shares no code with what it tests. A thread for each connection; what the tests want to know is in [`Seen`].

#![allow(dead_code, missing_docs, clippy::unwrap_used)]

mod published;

use published::Published;
use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before its test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// The session that may do anything but what is called `secret`.
pub const SID: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
/// The session of those who have none: it may do nothing here.
pub const NONE: &str = "00000000000000000000000000000000";

/// The types of messages.
const HELLO: u8 = 0;
const STATUS: u8 = 1;
const DATA: u8 = 2;
const LOOKUP: u8 = 4;
const INVOKE: u8 = 5;
const ADD_OBJECT: u8 = 6;
const REMOVE_OBJECT: u8 = 7;
const SUBSCRIBE: u8 = 8;
const UNSUBSCRIBE: u8 = 9;

/// The bus: listens until it is dropped.
pub struct Bus {
    path: PathBuf,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// What happened so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Connections, without those of programs that publish an object.
    pub connections: usize,
    /// Connections that have ended.
    pub ended: usize,
    /// Objects that were published under a name.
    pub published: usize,
    pub lookups: usize,
    /// Calls of methods, those of `session` left out.
    pub calls: usize,
    pub access: usize,
    /// Calls that are not answered.
    pub held: usize,
    pub added: usize,
    pub removed: usize,
    pub subscribed: usize,
    /// Answers to events.
    pub answered_events: usize,
}

#[derive(Default)]
struct State {
    seen: Seen,
    open: HashMap<usize, UnixStream>,
    next_id: u32,
    objects: Vec<Object>,
    subscribers: Vec<Subscriber>,
    /// Calls of `gather` that wait for the others, and where their answers go.
    gathered: Vec<(UnixStream, Vec<u8>)>,
    manners: Manners,
    /// Answers that are kept back, and where they go.
    kept: Vec<(UnixStream, Vec<u8>)>,
    published: Published,
    stopped: bool,
}

/// What the bus does otherwise than it should.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manners {
    /// Keeps back what `session` answers.
    pub keep_access: bool,
    /// Keeps back the answers to who adds an object.
    pub keep_added: bool,
    /// `session` allows nothing any more.
    pub deny: bool,
    /// The connection of this number is not read.
    pub deaf: Option<usize>,
}

struct Object {
    name: String,
    id: u32,
}

struct Subscriber {
    connection: usize,
    own: u32,
    target: u32,
}

impl Bus {
    /// Listens at `path`, with the objects `session`, `tobj` and `other`.
    pub fn start(path: &Path) -> Bus {
        let _ = std::fs::remove_file(path);
        let listener = UnixListener::bind(path).unwrap();
        let shared = Arc::<Shared>::default();
        shared.lock().next_id = 0x8000_0000 | std::process::id() << 8;
        let bus = Bus { path: path.to_owned(), shared: Arc::clone(&shared) };
        ["session", "tobj", "other"].iter().for_each(|name| bus.add(name));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let mut state = shared.lock();
                if state.stopped {
                    return;
                }
                state.published.streams.push(stream.try_clone().unwrap());
                drop(state);
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let mut connection = Connection { role: Role::Unknown, stream, shared, out: Vec::new() };
                    connection.run();
                });
            }
        });
        bus
    }

    pub fn path(&self) -> &str {
        self.path.to_str().unwrap()
    }

    /// Adds an object, under an id that no object had before.
    pub fn add(&self, name: &str) {
        let mut state = self.shared.lock();
        state.next_id += 16;
        let id = state.next_id;
        state.objects.push(Object { name: name.to_owned(), id });
    }

    /// Removes an object, whose subscribers are told.
    pub fn remove(&self, name: &str) {
        let mut state = self.shared.lock();
        state.remove(name);
    }

    /// Sends an event of an object; returns how many get it.
    pub fn notify(&self, name: &str, event: &str, data: &[u8], no_reply: bool) -> usize {
        let state = self.shared.lock();
        let target = state.objects.iter().find(|object| object.name == name).unwrap().id;
        let mut count = 0;
        for subscriber in state.subscribers.iter().filter(|subscriber| subscriber.target == target) {
            let mut attrs = [u32_attr(3, subscriber.own), text_attr(4, event), attr(7, data)].concat();
            if no_reply {
                attrs.extend(attr(10, &[1]));
            }
            let message = message(INVOKE, 9, 77, &attrs);
            count += usize::from((&state.open[&subscriber.connection]).write_all(&message).is_ok());
        }
        count
    }

    /// Changes how the bus behaves; what it has kept back and is to keep no more goes out, in its order.
    pub fn behave(&self, manners: Manners) {
        let mut state = self.shared.lock();
        state.manners = manners;
        if !manners.keep_access && !manners.keep_added {
            for (mut stream, bytes) in state.kept.drain(..) {
                let _ = stream.write_all(&bytes);
            }
        }
        self.shared.changed.notify_all();
    }

    pub fn seen(&self) -> Seen {
        self.shared.lock().seen.clone()
    }

    /// Waits until what was seen is as it should be.
    #[track_caller]
    pub fn wait(&self, what: &str, is_so: impl Fn(&Seen) -> bool) -> Seen {
        let end = Instant::now() + PATIENCE;
        let mut state = self.shared.lock();
        while !is_so(&state.seen) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{what}: {:?}", state.seen);
            state = self.shared.changed.wait_timeout(state, left).unwrap().0;
        }
        state.seen.clone()
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.stopped = true;
        state.published.streams.iter().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
        drop(state);
        // Wakes the one who accepts.
        let _ = UnixStream::connect(&self.path);
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    /// Another client is there.
    fn welcome(&mut self, stream: &UnixStream) -> Role {
        let number = self.seen.connections;
        self.seen.connections += 1;
        self.open.insert(number, stream.try_clone().unwrap());
        Role::Client(number)
    }

    fn remove(&mut self, name: &str) {
        let Some(at) = self.objects.iter().position(|object| object.name == name) else { return };
        let gone = self.objects.remove(at).id;
        for subscriber in self.subscribers.iter().filter(|subscriber| subscriber.target == gone) {
            let told = message(UNSUBSCRIBE, 0, 0, &[u32_attr(3, subscriber.own), u32_attr(8, gone)].concat());
            let _ = (&self.open[&subscriber.connection]).write_all(&told);
        }
    }
}

/// What a connection is for, which its first message shows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Unknown,
    /// The client of this number calls methods.
    Client(usize),
    /// It publishes an object.
    Publisher,
}

/// One client of the bus.
struct Connection {
    role: Role,
    stream: UnixStream,
    shared: Arc<Shared>,
    /// Answers, written together.
    out: Vec<u8>,
}

impl Connection {
    fn run(&mut self) {
        self.out.extend(message(HELLO, 0, 0x1234_5678, &[]));
        let mut inbox = Vec::new();
        let mut buffer = vec![0; 64 << 10];
        'reading: while self.stream.write_all(&std::mem::take(&mut self.out)).is_ok() {
            self.listen();
            match self.stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => inbox.extend_from_slice(&buffer[..n]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
            let mut used = 0;
            while let Some(length) = whole(&inbox[used..]) {
                let message = &inbox[used..used + length];
                if self.role == Role::Unknown {
                    self.introduce(message);
                }
                let goes_on = match self.role {
                    Role::Publisher => self.handle_publisher(message),
                    _ => self.handle(message),
                };
                if !goes_on {
                    break 'reading;
                }
                used += length;
            }
            inbox.drain(..used);
            self.shared.changed.notify_all();
        }
        let _ = self.stream.shutdown(Shutdown::Both);
        let mut state = self.shared.lock();
        match self.role {
            Role::Client(number) => {
                state.open.remove(&number);
                state.seen.ended += 1;
                state.subscribers.retain(|subscriber| subscriber.connection != number);
            }
            Role::Publisher => state.published.leave(&self.stream),
            Role::Unknown => {}
        }
        self.shared.changed.notify_all();
    }

    /// Learns from the first message what the connection is for.
    fn introduce(&mut self, bytes: &[u8]) {
        let is_publisher = bytes[1] == ADD_OBJECT && find(&attrs(&bytes[12..]), 2).is_some();
        self.role = if is_publisher { Role::Publisher } else { self.shared.lock().welcome(&self.stream) };
    }

    fn number(&self) -> usize {
        match self.role {
            Role::Client(number) => number,
            Role::Unknown | Role::Publisher => unreachable!("it is no client"),
        }
    }

    /// Waits while this connection must not be read.
    fn listen(&self) {
        let mut state = self.shared.lock();
        while matches!(self.role, Role::Client(number) if state.manners.deaf == Some(number)) && !state.stopped {
            state = self.shared.changed.wait(state).unwrap();
        }
    }

    /// False ends the connection.
    fn handle(&mut self, bytes: &[u8]) -> bool {
        let (kind, seq) = (bytes[1], u16::from_be_bytes([bytes[2], bytes[3]]));
        let peer = u32::from_be_bytes(bytes[4..8].try_into().unwrap());
        let attrs = attrs(&bytes[12..]);
        let number = |id: u8| find(&attrs, id).map(|content| u32::from_be_bytes(content.try_into().unwrap()));
        match kind {
            LOOKUP => self.look_up(seq, find(&attrs, 2).map(text)),
            INVOKE => {
                return self.invoke(
                    seq,
                    peer,
                    number(3).unwrap(),
                    text(find(&attrs, 4).unwrap()),
                    find(&attrs, 7).unwrap(),
                );
            }
            ADD_OBJECT => {
                let mut state = self.shared.lock();
                state.seen.added += 1;
                state.next_id += 16;
                let before = self.out.len();
                self.out.extend(message(DATA, seq, 0, &u32_attr(3, state.next_id)));
                self.out.extend(status_of(seq, 0, 0, None));
                if state.manners.keep_added {
                    state.kept.push((self.stream.try_clone().unwrap(), self.out.split_off(before)));
                }
            }
            REMOVE_OBJECT => {
                let own = number(3).unwrap();
                let mut state = self.shared.lock();
                state.seen.removed += 1;
                state.subscribers.retain(|subscriber| subscriber.own != own);
                drop(state);
                self.out.extend(message(DATA, seq, 0, &u32_attr(3, own)));
                self.status(seq, 0, 0, None);
            }
            SUBSCRIBE => {
                let mut state = self.shared.lock();
                state.seen.subscribed += 1;
                let subscriber =
                    Subscriber { connection: self.number(), own: number(3).unwrap(), target: number(8).unwrap() };
                state.subscribers.push(subscriber);
                drop(state);
                self.status(seq, 0, 0, None);
            }
            STATUS => self.shared.lock().seen.answered_events += 1,
            _ => panic!("message of type {kind}"),
        }
        true
    }

    fn status(&mut self, seq: u16, peer: u32, status: u32, object: Option<u32>) {
        self.out.extend(status_of(seq, peer, status, object));
    }

    fn look_up(&mut self, seq: u16, pattern: Option<&str>) {
        let mut state = self.shared.lock();
        state.seen.lookups += 1;
        let mut found = false;
        for object in &state.objects {
            let fits = match pattern {
                None => true,
                Some(pattern) => {
                    pattern.strip_suffix('*').map_or(object.name == pattern, |start| object.name.starts_with(start))
                }
            };
            if fits {
                found = true;
                let echo = [field(5, "str", &3_u32.to_be_bytes()), field(5, "num", &5_u32.to_be_bytes())].concat();
                let signature = [field(2, "echo", &echo), field(2, "nodata", &[])].concat();
                let signature = if object.name == "session" { field(2, "access", &[]) } else { signature };
                let row =
                    [text_attr(2, &object.name), u32_attr(3, object.id), u32_attr(5, 5), attr(6, &signature)].concat();
                self.out.extend(message(DATA, seq, 0, &row));
            }
        }
        drop(state);
        self.status(seq, 0, if found || pattern.is_none() { 0 } else { 4 }, None);
    }

    fn invoke(&mut self, seq: u16, peer: u32, id: u32, method: &str, data: &[u8]) -> bool {
        assert_eq!(peer, id, "a call's peer is its object");
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        let name = state.objects.iter().find(|object| object.id == id).map(|object| object.name.clone());
        let Some(name) = name else {
            drop(state);
            self.status(seq, peer, 4, None);
            return true;
        };
        if name == "session" {
            state.seen.access += 1;
            let before = self.out.len();
            self.access(seq, id, method, data, state.manners.deny);
            if state.manners.keep_access {
                state.kept.push((self.stream.try_clone().unwrap(), self.out.split_off(before)));
            }
            return true;
        }
        state.seen.calls += 1;
        let answer = |fields: &[u8]| message(DATA, seq, id, &[u32_attr(3, id), attr(7, fields)].concat());
        let (data_message, status) = match method {
            "echo" => (answer(data), 0),
            "nodata" => (Vec::new(), 0),
            "empty" => (answer(&[]), 0),
            "twice" => ([answer(&field(5, "n", &[0, 0, 0, 1])), answer(&field(5, "n", &[0, 0, 0, 2]))].concat(), 0),
            "fail" => (Vec::new(), number(data, "status")),
            "bytes" => (answer(&field(3, "b", b"a\xff\"\xe2\x82\0")), 0),
            "malformed" => (answer(&[field(5, "n", &[0, 0, 0, 1]), vec![0x85, 0, 0, 3]].concat()), 0),
            "big" => {
                let text = [vec![b'x'; number(data, "size") as usize], vec![0]].concat();
                (answer(&field(3, "big", &text)), 0)
            }
            "never" => {
                state.seen.held += 1;
                return true;
            }
            "vanish" => {
                state.remove(&name);
                state.seen.held += 1;
                return true;
            }
            "gather" => {
                let done = [answer(data), status_of(seq, id, 0, Some(id))].concat();
                state.gathered.push((self.stream.try_clone().unwrap(), done));
                if state.gathered.len() == number(data, "count") as usize {
                    // The last first.
                    for (mut stream, bytes) in state.gathered.drain(..).rev() {
                        let _ = stream.write_all(&bytes);
                    }
                }
                return true;
            }
            "garbage" => {
                self.out.extend_from_slice(b"HTTP/1.1 400 Bad Request\r\n\r\n");
                return true;
            }
            "hangup" => return false,
            _ => (Vec::new(), 3),
        };
        drop(state);
        self.out.extend(data_message);
        self.status(seq, id, status, Some(id));
        true
    }

    fn access(&mut self, seq: u16, id: u32, method: &str, data: &[u8], deny: bool) {
        assert_eq!(method, "access");
        let argument = |name| text(named(data, name).unwrap());
        let status = match argument("ubus_rpc_session") {
            SID | NONE => 0,
            _ => 4,
        };
        if status == 0 {
            assert!(!argument("object").is_empty());
            let allowed = !deny && argument("ubus_rpc_session") == SID && argument("function") != "secret";
            let fields = field(7, "access", &[u8::from(allowed)]);
            self.out.extend(message(DATA, seq, id, &[u32_attr(3, id), attr(7, &fields)].concat()));
        }
        self.status(seq, id, status, Some(id));
    }
}

fn status_of(seq: u16, peer: u32, status: u32, object: Option<u32>) -> Vec<u8> {
    let object = object.map_or(Vec::new(), |id| u32_attr(3, id));
    message(STATUS, seq, peer, &[u32_attr(1, status), object].concat())
}

/// The length of the message at the front, if it is whole.
fn whole(bytes: &[u8]) -> Option<usize> {
    let length = u32::from_be_bytes(bytes.get(8..12)?.try_into().unwrap()) as usize;
    (bytes.len() >= 8 + length).then_some(8 + length)
}

pub fn message(kind: u8, seq: u16, peer: u32, attrs: &[u8]) -> Vec<u8> {
    let [s0, s1] = seq.to_be_bytes();
    let mut out = vec![0, kind, s0, s1];
    out.extend(peer.to_be_bytes());
    out.extend((u32::try_from(attrs.len()).unwrap() + 4).to_be_bytes());
    out.extend_from_slice(attrs);
    out
}

pub fn attr(id: u8, content: &[u8]) -> Vec<u8> {
    let mut out = (u32::from(id) << 24 | (u32::try_from(content.len()).unwrap() + 4)).to_be_bytes().to_vec();
    out.extend_from_slice(content);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

pub fn u32_attr(id: u8, value: u32) -> Vec<u8> {
    attr(id, &value.to_be_bytes())
}

pub fn text_attr(id: u8, text: &str) -> Vec<u8> {
    attr(id, format!("{text}\0").as_bytes())
}

/// A field of a table.
pub fn field(kind: u8, name: &str, value: &[u8]) -> Vec<u8> {
    let mut content = u16::try_from(name.len()).unwrap().to_be_bytes().to_vec();
    content.extend_from_slice(name.as_bytes());
    content.push(0);
    content.resize(content.len().next_multiple_of(4), 0);
    content.extend_from_slice(value);
    attr(0x80 | kind, &content)
}

pub fn attrs(mut bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let head = u32::from_be_bytes(bytes[..4].try_into().unwrap());
        let length = (head & 0xff_ffff) as usize;
        found.push(((head >> 24) as u8, &bytes[4..length]));
        bytes = &bytes[length.next_multiple_of(4).min(bytes.len())..];
    }
    found
}

fn find<'a>(attrs: &[(u8, &'a [u8])], id: u8) -> Option<&'a [u8]> {
    attrs.iter().find(|(found, _)| *found == id).map(|(_, content)| *content)
}

/// The value of a field.
fn named<'a>(table: &'a [u8], name: &str) -> Option<&'a [u8]> {
    attrs(table).into_iter().find_map(|(_, content)| {
        let length = usize::from(u16::from_be_bytes([content[0], content[1]]));
        (&content[2..2 + length] == name.as_bytes()).then(|| &content[(3 + length).next_multiple_of(4)..])
    })
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap().trim_end_matches('\0')
}

fn number(table: &[u8], name: &str) -> u32 {
    u32::from_be_bytes(named(table, name).unwrap().try_into().unwrap())
}
