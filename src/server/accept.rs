//! New connections: accepting them, making room for them, having them wait, resting when the system has none left.

use super::conn::{Conn, Link};
use super::core::Core;
use super::limits;
use super::room::{self, Doing, Standing};
use super::site::Place;
use super::slot::Slot;
use crate::net::{PeerAddr, Transport};
use crate::rt::{Due, Edges, Key, MAX_SLOTS, Source};
use crate::sys;
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// A connection that was accepted and has no slot yet.
pub(super) struct Newcomer {
    transport: Transport,
    peer: PeerAddr,
    place: Place,
}

impl Core {
    /// An event of a connection: only flags are set, the slot is driven later in the tick.
    pub(super) fn notice(&self, key: Key, edges: Edges) {
        let slots = self.slots.borrow();
        let Some(slot) = slots.get(key) else { return };
        {
            let mut conn = slot.conn.borrow_mut();
            conn.readable |= edges.readable;
            conn.writable |= edges.writable;
            if edges.read_closed && !conn.peer_closed {
                conn.peer_closed = true;
                conn.wake();
            }
            if edges.gone || edges.hung_up && conn.has_read_all() {
                conn.link = Link::Dead;
            }
        }
        self.make_ready(key);
    }

    pub(super) fn notice_listener(&self, key: Key) {
        if let Some(entry) = self.listeners.borrow_mut().get_mut(key) {
            entry.listener.ready = true;
        }
    }

    /// Gives places to those that wait for one, and accepts what waits in the kernel's queues.
    ///
    /// That goes on at the limit: only then is it known who comes, and one address must not keep the others out by
    /// filling the queue.
    pub(super) fn accept(self: &Rc<Self>) {
        self.admit_waiting();
        for _ in 0..limits::ACCEPT_BUDGET {
            if !self.accepting.get() || self.stopping() {
                return;
            }
            let Some(listener) = self.ready_listener() else { return };
            match self.accept_from(listener) {
                Ok(newcomer) if self.make_room(&newcomer.peer) => self.admit(newcomer),
                Ok(newcomer) => self.let_wait(newcomer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => self.accept_failed(&error),
            }
        }
        // Others may wait: the next tick goes on, after those that are ready.
        self.runtime.wakes.rouse();
    }

    fn accept_from(&self, listener: Key) -> io::Result<Newcomer> {
        let mut listeners = self.listeners.borrow_mut();
        let entry = listeners.get_mut(listener).ok_or(io::ErrorKind::WouldBlock)?;
        let accepted = entry.listener.accept();
        if accepted.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            entry.listener.ready = false;
        }
        accepted.map(|(transport, peer)| Newcomer { transport, peer, place: Rc::clone(&entry.place) })
    }

    /// One that connections may wait at, in turns so that none is starved.
    fn ready_listener(&self) -> Option<Key> {
        let listeners = self.listeners.borrow();
        let ready = || listeners.iter().filter(|(_, entry)| entry.listener.ready).map(|(key, _)| key);
        let last = self.last_listener.get();
        let next = ready().find(|&key| Some(key) > last).or_else(|| ready().next())?;
        self.last_listener.set(Some(next));
        Some(next)
    }

    fn admit(&self, newcomer: Newcomer) {
        let Newcomer { mut transport, peer, place } = newcomer;
        let mut next = 0;
        let admitted = self.slots.borrow_mut().insert_with(|key| {
            self.runtime.reactor.register(transport.source(), Source::Conn(key))?;
            let conn = Conn::new(transport, peer, self.runtime.now(), place);
            next = conn.deadlines.next();
            Ok(Slot::new(conn, self.wakers(key)))
        });
        match admitted {
            Ok(key) => self.arm_at(key, next),
            Err(error) if self.takes_log_line(&peer) => log::warn!("{peer}: cannot watch the connection: {error}"),
            Err(_) => {}
        }
    }

    /// Makes room for a client of this address, if need be at another's expense; false when it has to wait.
    pub(super) fn make_room(self: &Rc<Self>, newcomer: &PeerAddr) -> bool {
        let max = self.max_connections.get();
        if self.slots.borrow().len() < max {
            return true;
        }
        let standings = self.standings();
        let Some(chosen) = room::choose(&standings, max, newcomer.network(), self.runtime.now()) else { return false };
        if !matches!(chosen.doing, Doing::Idle { .. } | Doing::Lingering { .. }) {
            self.cut_for_room(chosen.key);
        }
        self.shut(chosen.key);
        true
    }

    /// Whether a quarter of the connections that there may be are in use: clients that may have left are asked then.
    pub(super) fn is_filling_up(&self) -> bool {
        self.slots.borrow().len() * 4 >= self.max_connections.get()
    }

    fn standings(&self) -> Vec<Standing> {
        let now = self.runtime.now();
        let slots = self.slots.borrow();
        let standing = |(key, slot): (Key, &Slot)| {
            let mut conn = slot.conn.borrow_mut();
            Standing { key, group: conn.peer.network(), doing: conn.doing(slot.is_busy(), now) }
        };
        slots.iter().map(standing).collect()
    }

    /// What its client gets can't be whole any more, and must not look so.
    fn cut_for_room(&self, key: Key) {
        if let Some(slot) = self.slots.borrow().get(key) {
            let mut conn = slot.conn.borrow_mut();
            conn.transport.reset_on_close();
            self.log_for_room(&conn.peer, "closed for a new connection");
        }
    }

    /// Keeps a connection until it gets a place; the address that has most of those that wait loses one if they are too many.
    fn let_wait(&self, newcomer: Newcomer) {
        let mut waiting = self.waiting.borrow_mut();
        waiting.push(newcomer);
        if waiting.len() > limits::WAITING {
            let count = |newcomer: &Newcomer| {
                waiting.iter().filter(|other| other.peer.network() == newcomer.peer.network()).count()
            };
            // Of several the last, which is the latest.
            let latest_of_most = (0..waiting.len()).max_by_key(|&at| count(&waiting[at])).unwrap_or(0);
            let refused = waiting.remove(latest_of_most);
            self.log_for_room(&refused.peer, "refused");
        }
        self.retry_later(limits::FRESH);
    }

    /// Gives a place to those that wait and can have one, first come, first served.
    fn admit_waiting(self: &Rc<Self>) {
        let mut in_vain = Vec::new();
        loop {
            let next = {
                let waiting = self.waiting.borrow();
                let next = waiting.iter().position(|newcomer| !in_vain.contains(&newcomer.peer.network()));
                next.map(|at| (at, waiting[at].peer))
            };
            let Some((at, peer)) = next else { break };
            if self.make_room(&peer) {
                let newcomer = self.waiting.borrow_mut().remove(at);
                self.admit(newcomer);
            } else {
                in_vain.push(peer.network());
            }
        }
        if !in_vain.is_empty() {
            // Mere time may make one go.
            self.retry_later(limits::FRESH);
        }
    }

    /// A line about a connection that the limit costs; under attack there are thousands, of which one in a while is enough.
    fn log_for_room(&self, peer: &PeerAddr, what: &str) {
        let now = self.runtime.now();
        let (next, unsaid) = self.room_log.get();
        if now < next {
            self.room_log.set((next, unsaid.saturating_add(1)));
            return;
        }
        self.room_log.set((self.runtime.deadline(limits::ROOM_LOG), 0));
        let max = self.max_connections.get();
        log::warn!(
            "{peer}: {what}: all {max} connections are in use (max_connections); {unsaid} more went since the last such line"
        );
    }

    fn retry_later(&self, after: Duration) {
        if !self.retrying.replace(true) {
            let when = self.runtime.deadline(after);
            self.runtime.timers.borrow_mut().insert(when, Due::Accept);
        }
    }

    /// Errors of single connections are skipped; after others, as without descriptors or memory, accepting rests a while.
    fn accept_failed(&self, error: &io::Error) {
        match error.raw_os_error() {
            // Of one connection, not of the listener (accept(2)); TLS refusing one has no number.
            None
            | Some(
                sys::ECONNABORTED
                | sys::EINTR
                | sys::EPERM
                | sys::EPROTO
                | sys::ENOPROTOOPT
                | sys::EOPNOTSUPP
                | sys::ENETDOWN
                | sys::ENETUNREACH
                | sys::EHOSTDOWN
                | sys::EHOSTUNREACH
                | sys::ENONET,
            ) => log::debug!("a connection was gone before it was accepted: {error}"),
            Some(_) => {
                // Nobody's in particular.
                if self.takes_log_line(&PeerAddr::Unix) {
                    log::warn!("cannot accept connections: {error}");
                }
                self.accepting.set(false);
                let when = self.runtime.deadline(limits::ACCEPT_PAUSE);
                self.runtime.timers.borrow_mut().insert(when, Due::Accept);
            }
        }
    }

    pub(super) fn resume_accepting(&self) {
        self.accepting.set(true);
        self.retrying.set(false);
    }

    /// Closes a connection.
    fn shut(self: &Rc<Self>, key: Key) {
        let conn = self.slots.borrow().get(key).map(|slot| Rc::clone(&slot.conn));
        if let Some(conn) = conn {
            conn.borrow_mut().link = Link::Dead;
            // Not held on to: who else owns a connection decides how it ends.
            drop(conn);
            self.drive(key);
        }
    }

    /// Accepts no more, and closes what waits for a request.
    pub(super) fn stop_listening(self: &Rc<Self>) {
        // Before any client can see that this server goes: its next attempt must find another, or none.
        self.drop_listeners();
        self.waiting.take();
        let waiting: Vec<Key> = {
            let slots = self.slots.borrow();
            slots.iter().filter(|(_, slot)| slot.conn.borrow().is_silent()).map(|(key, _)| key).collect()
        };
        for key in waiting {
            self.shut(key);
        }
    }

    fn drop_listeners(&self) {
        let listeners = self.listeners.take();
        // No longer borrowed, for a handler may go with the last of them.
        drop(listeners);
    }

    /// Ends everything: tasks, handlers, connections, listeners.
    pub(super) fn drop_all(self: &Rc<Self>) {
        self.runtime.drop_tasks();
        let keys: Vec<Key> = self.slots.borrow().iter().map(|(key, _)| key).collect();
        for key in keys {
            self.shut(key);
        }
        self.drop_listeners();
        // Those that handlers spawned as they went.
        self.runtime.drop_tasks();
    }

    /// Sets how many connections there may be, within the descriptors that the system allows, asked for as many as needed.
    pub(super) fn fit_to_descriptors(&self, count: usize) {
        let mut count = count.min(MAX_SLOTS);
        // A connection may hold a socket and a file.
        let wanted = (count as u64).saturating_mul(2).saturating_add(limits::RESERVED_DESCRIPTORS);
        match sys::raise_descriptor_limit(wanted) {
            Ok(allowed) => {
                let fit = allowed.saturating_sub(limits::RESERVED_DESCRIPTORS).max(1);
                let fit = usize::try_from(fit).unwrap_or(usize::MAX);
                if fit < count {
                    log::warn!("max_connections lowered from {count} to {fit}: {allowed} descriptors allowed");
                    count = fit;
                }
            }
            Err(error) => log::warn!("cannot read the limit of descriptors: {error}"),
        }
        self.max_connections.set(count);
    }
}

#[cfg(test)]
mod tests {
    use crate::net::Transport;
    use crate::{Connection, Options, Request, Server};
    use socket2::{SockRef, Socket};
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::Duration;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// A server whose ticks the test turns itself, and its clients.
    struct World {
        server: Server,
        addr: std::net::SocketAddr,
    }

    impl World {
        fn new() -> World {
            let handler = async |con: &mut Connection, _: &mut Request| con.send("hello").await;
            let mut server = Server::new(Options::new(), handler).unwrap();
            let addr = server.bind("127.0.0.1", 0).unwrap();
            World { server, addr }
        }

        fn tick_until(&self, is_so: impl Fn(&World) -> bool) {
            let _entered = self.server.core.runtime.enter();
            let start = std::time::Instant::now();
            while !is_so(self) {
                assert!(start.elapsed() < PATIENCE);
                self.server.tick(&mut Vec::new()).unwrap();
            }
        }

        fn connections(&self) -> usize {
            self.server.core.slots.borrow().len()
        }

        fn answered(&self) -> u32 {
            self.server.core.slots.borrow().iter().map(|(_, slot)| slot.conn.borrow().served).sum()
        }

        /// A copy of the server's end, as a child process has it between fork and exec.
        fn copied_socket(&self) -> Socket {
            let slots = self.server.core.slots.borrow();
            let (_, slot) = slots.iter().next().unwrap();
            match &slot.conn.borrow().transport {
                Transport::Tcp(stream) => SockRef::from(stream).try_clone().unwrap(),
                _ => unreachable!("the listener is a plain one"),
            }
        }
    }

    fn ask(client: &mut TcpStream, field: &str) {
        write!(client, "GET / HTTP/1.1\r\nHost: t\r\n{field}\r\n").unwrap();
    }

    #[test]
    fn events_of_a_closed_connection_do_not_reach_the_next_in_its_slot() {
        let world = World::new();
        let connect = || {
            let client = TcpStream::connect(world.addr).unwrap();
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            client
        };
        let mut first = connect();
        world.tick_until(|world| world.connections() == 1);
        let copy = world.copied_socket();
        ask(&mut first, "Connection: close\r\n");
        world.tick_until(|world| world.connections() == 0);

        let mut second = connect();
        ask(&mut second, "");
        world.tick_until(|world| world.answered() == 1);
        SockRef::from(&first).set_linger(Some(Duration::ZERO)).unwrap();
        drop(first);
        // The copy has seen the reset, so epoll has its event by now.
        assert!(copy.peer_addr().is_err());

        ask(&mut second, "Connection: close\r\n");
        world.tick_until(|world| world.connections() == 0);
        let mut reply = String::new();
        second.read_to_string(&mut reply).unwrap();
        assert_eq!(reply.matches("\r\n\r\nhello").count() + reply.matches("5\r\nhello\r\n0\r\n").count(), 2, "{reply}");
    }
}
