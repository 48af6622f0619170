//! The handles of tasks: awaited, dropped, detached.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Gate, MOMENT, OnDrop, next, serve, telling};
use ecohttpd::{Connection, Options, Request, Task, sleep, spawn, timeout};
use std::cell::RefCell;
use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::mpsc::channel;
use std::time::Duration;

#[test]
fn an_awaited_task_gives_its_output() {
    let server = serve(Options::new, async |con: &mut Connection, _: &mut Request| {
        let at_once = spawn(async { String::from("at once") });
        let later = spawn(async {
            sleep(Duration::from_millis(5)).await;
            "later"
        });
        // It has ended by then: what it returned waits.
        sleep(Duration::from_millis(20)).await;
        con.send(format!("{} {}", at_once.await, later.await)).await
    });
    assert_eq!(server.get("/").text(), "at once later");
}

#[test]
fn a_dropped_task_is_cancelled_where_it_waits() {
    let (gone, drops) = channel();
    let server = serve(Options::new, async move |con: &mut Connection, req: &mut Request| {
        let guard = OnDrop::new(&gone, "task");
        let task = spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        });
        // Of a task that has not run yet, too.
        if req.path() == "/run" {
            sleep(Duration::from_millis(5)).await;
        }
        if timeout(Duration::from_millis(5), task).await.is_ok() {
            return con.send("it ended").await;
        }
        con.send("cancelled").await
    });
    for path in ["/run", "/new"] {
        assert_eq!(server.get(path).text(), "cancelled");
        assert_eq!(next(&drops), "task");
    }
}

#[test]
fn a_detached_task_runs_on() {
    let gate = Gate::default();
    let (tell, told) = channel();
    let opened = gate.clone();
    let server = serve(Options::new, async move |con: &mut Connection, _: &mut Request| {
        let (gate, tell) = (gate.clone(), tell.clone());
        spawn(async move {
            gate.wait().await;
            tell.send("done").unwrap();
        })
        .detach();
        con.send("answered").await
    });
    assert_eq!(server.get("/").text(), "answered");
    opened.open();
    assert_eq!(next(&told), "done");
}

/// It is polled as its handle goes, so nobody can drop it at that moment.
#[test]
fn a_task_may_drop_its_own_handle() {
    let (gone, drops) = channel();
    let server = serve(Options::new, async move |con: &mut Connection, _: &mut Request| {
        let own: Rc<RefCell<Option<Task<()>>>> = Rc::default();
        let (guard, held) = (OnDrop::new(&gone, "task"), Rc::clone(&own));
        let task = spawn(async move {
            let _guard = guard;
            drop(held.take());
            pending::<()>().await;
        });
        own.replace(Some(task));
        con.send("answered").await
    });
    assert_eq!(server.get("/").text(), "answered");
    assert_eq!(next(&drops), "task");
    assert_eq!(server.get("/").text(), "answered", "the server goes on");
}

#[test]
fn the_panic_of_a_task_reaches_who_awaits_it() {
    let server = serve(Options::new, async |con: &mut Connection, req: &mut Request| {
        if req.path() == "/panic" {
            spawn(async { panic!("on purpose") }).await
        }
        con.send("fine").await
    });
    assert_eq!(server.get("/panic").status, 500);
    assert_eq!(server.get("/").text(), "fine");
}

#[test]
fn a_handle_may_outlive_its_server() {
    let kept = std::thread::spawn(|| {
        let (gone, drops) = channel();
        let handler = async |con: &mut Connection, _: &mut Request| con.send("").await;
        let mut server = ecohttpd::Server::new(Options::new(), handler).unwrap();
        let guard = OnDrop::new(&gone, "task");
        let task = server.spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        });
        drop(server);
        assert_eq!(next(&drops), "task");
        std::panic::catch_unwind(AssertUnwindSafe(|| drop(task))).is_ok()
    });
    assert!(kept.join().unwrap());
}

#[test]
fn a_task_awaits_another() {
    let (server, seen) = telling(Options::new, async |_: &mut Connection, _: &mut Request, tell| {
        let inner = spawn(async {
            sleep(MOMENT).await;
            1
        });
        let outer = spawn(async { inner.await + 1 });
        tell.send(outer.await + 1).unwrap();
        Ok(())
    });
    server.get("/");
    assert_eq!(next(&seen), 3);
}
