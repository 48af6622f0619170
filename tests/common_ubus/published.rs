//! Objects that other programs publish on the bus, their answers and their events.

use super::{
    ADD_OBJECT, Bus, Connection, DATA, INVOKE, PATIENCE, STATUS, State, attr, attrs, find, message, named, status_of,
    text, text_attr, u32_attr,
};
use std::io::Write;
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::Instant;

/// The object of the bus that passes events on.
const EVENTS: u32 = 1;

/// What programs have published.
#[derive(Default)]
pub(super) struct Published {
    /// All connections of the bus.
    pub(super) streams: Vec<UnixStream>,
    objects: Vec<Object>,
    /// The last call's number, its fields, and its status once it is answered.
    call: (u16, Option<Vec<u8>>, Option<u32>),
    events: Vec<(String, Vec<u8>)>,
}

struct Object {
    name: String,
    id: u32,
    signature: Vec<u8>,
    stream: UnixStream,
    /// Of the connection's end, which tells it from others.
    descriptor: i32,
}

impl Published {
    /// A connection has ended, and with it its objects.
    pub(super) fn leave(&mut self, stream: &UnixStream) {
        self.objects.retain(|object| object.descriptor != stream.as_raw_fd());
    }
}

impl Bus {
    /// The signature of a published object, as the content of a table.
    pub fn signature(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.shared.lock();
        state.published.objects.iter().find(|object| object.name == name).map(|object| object.signature.clone())
    }

    /// Calls a method of a published object: the fields of its answer, if it has some, and its status.
    #[track_caller]
    pub fn call(&self, name: &str, method: &str, arguments: &[u8]) -> (Option<Vec<u8>>, u32) {
        let mut state = self.shared.lock();
        let seq = state.published.call.0 + 1;
        state.published.call = (seq, None, None);
        let object = state.published.objects.iter().find(|object| object.name == name).expect("it is not published");
        let attributes = [u32_attr(3, object.id), text_attr(4, method), attr(7, arguments)].concat();
        (&object.stream).write_all(&message(INVOKE, seq, 0x4242, &attributes)).unwrap();
        let end = Instant::now() + PATIENCE;
        loop {
            if let (_, fields, Some(status)) = &state.published.call {
                return (fields.clone(), *status);
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{name} {method}: no answer");
            state = self.shared.changed.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Waits for an event of that name, and takes it.
    #[track_caller]
    pub fn event(&self, name: &str) -> Vec<u8> {
        let end = Instant::now() + PATIENCE;
        let mut state = self.shared.lock();
        loop {
            let events = &mut state.published.events;
            if let Some(at) = events.iter().position(|(known, _)| known == name) {
                return events.remove(at).1;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no {name}: {events:?}");
            state = self.shared.changed.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Hangs up on all that publish something, as a bus does that is restarted.
    pub fn drop_publishers(&self) {
        let state = self.shared.lock();
        state.published.objects.iter().for_each(|object| object.stream.shutdown(Shutdown::Both).unwrap());
    }

    /// Takes a name, so that nobody else can publish it; or gives it free.
    pub fn occupy(&self, name: &str, occupy: bool) {
        let mut state = self.shared.lock();
        let published = &mut state.published;
        published.objects.retain(|object| object.name != name || object.descriptor >= 0);
        if occupy {
            let stream = UnixStream::pair().unwrap().0;
            let name = name.to_owned();
            published.objects.push(Object { name, id: 2, signature: Vec::new(), stream, descriptor: -1 });
        }
    }
}

impl Connection {
    /// Handles a message of a program that publishes objects. False ends the connection.
    pub(super) fn handle_publisher(&mut self, bytes: &[u8]) -> bool {
        let (kind, seq) = (bytes[1], u16::from_be_bytes([bytes[2], bytes[3]]));
        let peer = u32::from_be_bytes(bytes[4..8].try_into().unwrap());
        let attrs = attrs(&bytes[12..]);
        let number = |id: u8| find(&attrs, id).map(|content| u32::from_be_bytes(content.try_into().unwrap()));
        let mut state = self.shared.lock();
        match kind {
            ADD_OBJECT => {
                let object = Object {
                    name: text(find(&attrs, 2).unwrap()).to_owned(),
                    id: 0x7000_0000 + u32::try_from(state.seen.published).unwrap(),
                    signature: find(&attrs, 6).unwrap().to_vec(),
                    stream: self.stream.try_clone().unwrap(),
                    descriptor: self.stream.as_raw_fd(),
                };
                let status = publish(&mut state, object);
                let told = status.map_or(Vec::new(), |id| message(DATA, seq, 0, &u32_attr(3, id)));
                let answer = [told, status_of(seq, 0, status.err().unwrap_or(0), None)].concat();
                // Before anybody can call it.
                let _ = (&self.stream).write_all(&answer);
            }
            INVOKE => {
                assert_eq!((peer, number(3), find(&attrs, 4).map(text)), (EVENTS, Some(EVENTS), Some("send")));
                let data = find(&attrs, 7).unwrap();
                let event = (text(named(data, "id").unwrap()).to_owned(), named(data, "data").unwrap().to_vec());
                state.published.events.push(event);
                drop(state);
                self.status(seq, EVENTS, 0, Some(EVENTS));
            }
            DATA | STATUS => {
                assert_eq!((peer, number(3)), (0x4242, state.published.objects.first().map(|object| object.id)));
                let call = &mut state.published.call;
                assert_eq!(call.0, seq, "the answer to another call");
                match number(1) {
                    Some(status) => call.2 = Some(status),
                    None => call.1 = Some(find(&attrs, 7).unwrap().to_vec()),
                }
            }
            _ => panic!("message of type {kind}"),
        }
        true
    }
}

/// The object's id, or the status of an error.
fn publish(state: &mut State, object: Object) -> Result<u32, u32> {
    if state.published.objects.iter().any(|other| other.name == object.name) {
        return Err(2);
    }
    state.seen.published += 1;
    let id = object.id;
    state.published.objects.push(object);
    Ok(id)
}
