//! The loop: waits for events, records them, drives the connections that are ready, accepts new ones.

use super::accept::Acceptor;
use super::control::Control;
use super::endpoints::Endpoints;
use super::session::Sessions;
use super::shared::Shared;
#[cfg(feature = "tls")]
use crate::net::TlsContext;
use crate::rt::{Due, Runtime, Source, Woken};
use std::io;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::Duration;

/// Everything that the server's thread runs.
pub(super) struct EventLoop {
    pub(super) shared: Rc<Shared>,
    pub(super) sessions: Rc<Sessions>,
    pub(super) acceptor: Acceptor,
}

impl EventLoop {
    pub(super) fn new(runtime: Rc<Runtime>) -> EventLoop {
        let shared = Rc::new(Shared::new(runtime));
        let sessions = Rc::new(Sessions::new(Rc::clone(&shared)));
        let acceptor = Acceptor::new(Rc::clone(&shared), Rc::clone(&sessions));
        EventLoop { shared, sessions, acceptor }
    }

    pub(super) fn endpoints(&self) -> &Endpoints {
        &self.acceptor.endpoints
    }

    /// Runs until a command stops it.
    ///
    /// # Errors
    /// When the system refuses to wait for events.
    pub(super) fn run(&self, control: &Control) -> io::Result<()> {
        let _entered = self.shared.runtime.enter();
        self.shared.runtime.read_clock();
        let mut woken = Vec::new();
        while !self.has_stopped() {
            self.tick(&mut woken, None, control)?;
        }
        Ok(())
    }

    /// One turn, called by another loop: waits at most for `timeout`. Returns `Break` once the server has stopped.
    ///
    /// # Errors
    /// Those of [`run`](EventLoop::run).
    pub(super) fn turn(
        &self,
        woken: &mut Vec<Woken>,
        timeout: Duration,
        control: &Control,
    ) -> io::Result<ControlFlow<()>> {
        let _entered = self.shared.runtime.enter();
        self.tick(woken, Some(timeout), control)?;
        Ok(if self.has_stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    /// How long another loop may wait before the next turn; `None` means forever.
    pub(super) fn idle_time(&self) -> Option<Duration> {
        self.shared.runtime.idle_time(self.has_ready())
    }

    fn has_ready(&self) -> bool {
        !self.shared.ready.borrow().is_empty()
    }

    /// One turn: wait, record events, drive what is ready, accept.
    pub(super) fn tick(&self, woken: &mut Vec<Woken>, timeout: Option<Duration>, control: &Control) -> io::Result<()> {
        let runtime = &self.shared.runtime;
        #[cfg(feature = "tls")]
        TlsContext::new_tick();
        runtime.wait(self.has_ready(), timeout)?;
        runtime.reactor.dispatch(|source, event| match source {
            Source::Conn(key) => self.sessions.notice(key, event),
            Source::Listener(key) => self.endpoints().notice(key),
            Source::Fd(_) => {}
        });
        if runtime.wakes.take(woken) {
            self.apply_commands(control);
            for key in woken.drain(..) {
                match key {
                    Woken::Conn(key) => self.sessions.woken(key),
                    Woken::Task(key) => runtime.run_task(key),
                }
            }
        }
        self.pop_timers();
        self.sessions.drive_ready();
        self.acceptor.accept();
        Ok(())
    }

    /// Acts on timers that are due.
    pub(super) fn pop_timers(&self) {
        let runtime = &self.shared.runtime;
        loop {
            let due = runtime.timers.borrow_mut().pop(runtime.now());
            match due {
                Some(Due::Conn(key)) => self.sessions.due(key),
                Some(Due::Accept) => self.acceptor.resume(),
                Some(Due::Log) => self.shared.report_suppressed_lines(),
                Some(Due::Wake(waker)) => waker.wake(),
                None => return,
            }
        }
    }

    // --- stopping ---------------------------------------------------------------------------------

    fn apply_commands(&self, control: &Control) {
        #[cfg(feature = "tls")]
        if control.take_reload() {
            self.endpoints().reload_tls();
        }
        let Some(grace) = control.take_stop() else { return };
        let was_stopping = self.shared.stopping();
        self.shared.stop_by(self.shared.deadline(grace));
        if !was_stopping {
            // First of all: a client that sees its connection close must not reach this server again.
            self.acceptor.stop();
            self.sessions.shut_idle();
            #[cfg(feature = "websocket")]
            self.sessions.wake_upgraded();
        }
        // Only wakes the loop.
        if let Some(deadline) = self.shared.stop_deadline() {
            self.shared.runtime.timers.borrow_mut().insert(deadline, Due::Accept);
        }
    }

    fn has_stopped(&self) -> bool {
        let Some(deadline) = self.shared.stop_deadline() else { return false };
        self.sessions.is_empty() || self.shared.now() >= deadline
    }

    /// Drops everything: tasks, handlers, connections, listeners.
    pub(super) fn drop_all(&self) {
        let _entered = self.shared.runtime.enter();
        self.shared.runtime.drop_tasks();
        self.sessions.shut_all();
        self.endpoints().close_all();
        // Handlers may have spawned more in their drops.
        self.shared.runtime.drop_tasks();
    }
}

#[cfg(test)]
mod tests {
    use crate::net::Transport;
    use crate::{Connection, IntoOutcome, Options, Request, Server};
    use socket2::{SockRef, Socket};
    use std::cell::Cell;
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::rc::Rc;
    use std::time::Duration;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// A server whose ticks the test turns itself, and its clients.
    struct World {
        server: Server,
        addr: std::net::SocketAddr,
        /// Requests so far.
        handled: Rc<Cell<usize>>,
    }

    impl World {
        fn new() -> World {
            let handled = Rc::new(Cell::new(0));
            let count = Rc::clone(&handled);
            let handler = async move |con: &mut Connection, _: &mut Request| {
                count.set(count.get() + 1);
                con.send("hello").await
            };
            World::serving(handler, handled)
        }

        fn serving<R: IntoOutcome>(
            handler: impl AsyncFn(&mut Connection, &mut Request) -> R + 'static,
            handled: Rc<Cell<usize>>,
        ) -> World {
            let mut server = Server::new(Options::new(), handler).unwrap();
            let addr = server.bind("127.0.0.1", 0).unwrap();
            World { server, addr, handled }
        }

        fn tick_until(&self, is_so: impl Fn(&World) -> bool) {
            let _entered = self.server.event_loop.shared.runtime.enter();
            let start = std::time::Instant::now();
            while !is_so(self) {
                assert!(start.elapsed() < PATIENCE);
                self.server.event_loop.tick(&mut Vec::new(), None, &self.server.control).unwrap();
            }
        }

        fn connections(&self) -> usize {
            self.server.event_loop.sessions.len()
        }

        fn answered(&self) -> u32 {
            self.server
                .event_loop
                .sessions
                .table
                .borrow()
                .iter()
                .map(|(_, session)| session.http1.borrow().served)
                .sum()
        }

        /// A copy of the server's end, as a child process has it between fork and exec.
        fn copied_socket(&self) -> Socket {
            let table = self.server.event_loop.sessions.table.borrow();
            let (_, session) = table.iter().next().unwrap();
            match &session.http1.borrow().link.transport {
                Transport::Tcp(stream) => SockRef::from(stream).try_clone().unwrap(),
                _ => unreachable!("the listener is a plain one"),
            }
        }
    }

    fn ask(client: &mut TcpStream, field: &str) {
        write!(client, "GET / HTTP/1.1\r\nHost: t\r\n{field}\r\n").unwrap();
    }

    #[test]
    fn a_newcomer_is_answered_in_the_turn_that_accepts_it() {
        let world = World::new();
        let mut clients: Vec<_> = (0..3).map(|_| TcpStream::connect(world.addr).unwrap()).collect();
        clients.iter_mut().for_each(|client| ask(client, ""));
        for count in 1..=3 {
            world.tick_until(|world| world.connections() >= count);
            assert_eq!(world.answered() as usize, world.connections());
        }
        // One that has to wait is watched.
        ask(&mut clients[0], "");
        world.tick_until(|world| world.answered() == 4);
    }

    /// Those that wait at the limit come in as soon as others leave, though nothing is registered that could tell.
    #[test]
    fn nobody_waits_at_the_limit_while_there_is_room() {
        let world = World::new();
        let max = 4;
        world.server.event_loop.acceptor.max_connections.set(max);
        let mut clients: Vec<_> = (0..20).map(|_| TcpStream::connect(world.addr).unwrap()).collect();
        clients.iter_mut().for_each(|client| ask(client, "Connection: close\r\n"));
        let have_waited = Cell::new(false);
        world.tick_until(|world| {
            let waiting = world.server.event_loop.acceptor.waiting.borrow().len();
            have_waited.set(have_waited.get() || waiting > 0);
            if waiting > 0 && world.connections() < max {
                assert_eq!(world.server.event_loop.idle_time(), Some(Duration::ZERO), "{waiting} wait");
            }
            world.handled.get() == clients.len()
        });
        assert!(have_waited.get());
    }

    /// A handler that keeps itself awake is dropped all the same when its client resets the connection.
    #[test]
    fn a_busy_first_handler_is_dropped_with_its_connection() {
        let handled = Rc::new(Cell::new(0));
        let guard = Rc::new(());
        let (count, held) = (Rc::clone(&handled), Rc::clone(&guard));
        let handler = async move |_: &mut Connection, _: &mut Request| {
            let _held = Rc::clone(&held);
            count.set(count.get() + 1);
            loop {
                crate::yield_now().await;
            }
            #[expect(unreachable_code, reason = "the type of what a handler returns")]
            crate::Result::Ok(())
        };
        let world = World::serving(handler, handled);
        let mut client = TcpStream::connect(world.addr).unwrap();
        ask(&mut client, "");
        world.tick_until(|world| world.handled.get() == 1);
        SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        world.tick_until(|world| world.connections() == 0);
        assert_eq!(Rc::strong_count(&guard), 2, "only the handler's own is left");
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
