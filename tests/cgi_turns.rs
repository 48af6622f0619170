//! CGI: whose turn it is, who leaves, what takes too long, and that nothing is left behind.

mod common;
mod common_cgi;
mod common_files;

use common::{Client, End, MOMENT, reset, skip};
use common_cgi::{Scripts, runs, until};
use common_files::request;
use std::fs;
use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

/// Notes its name and waits until it may go on.
const GATED: &str = "#!/bin/sh\necho $QUERY_STRING >>../ran\nwhile [ -d $DOCUMENT_ROOT ] && ! [ -e ../go ]; do sleep 0.02; done\nprintf '\\n%s' \"$QUERY_STRING\"\n";

const HELLO: &str = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nhello\\n'\n";

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

#[test]
fn scripts_wait_for_their_turn_in_order() {
    let site = Scripts::new(&["-n", "1"], &[("gated", GATED)]);
    let mut first = site.begin_get("/cgi-bin/gated?0");
    site.await_note("ran", |ran| ran == "0\n");
    let mut waiting: Vec<Client> = Vec::new();
    for number in 1..=8 {
        waiting.push(site.begin_get(&format!("/cgi-bin/gated?{number}")));
        // What is asked for next is answered after that was seen.
        assert_eq!(site.get("/missing").status, 404);
    }
    assert_eq!(site.children().len(), 1, "those that wait cost no process");
    assert_eq!(fs::read_to_string(site.note("ran")).unwrap(), "0\n");
    fs::write(site.note("go"), "").unwrap();
    assert_eq!(first.read_response().text(), "0");
    for (number, client) in waiting.iter_mut().enumerate() {
        assert_eq!(client.read_response().text(), (number + 1).to_string());
    }
    let ran = fs::read_to_string(site.note("ran")).unwrap();
    assert_eq!(lines(&ran), ["0", "1", "2", "3", "4", "5", "6", "7", "8"]);
}

/// What LuCI does: a browser's six connections, three scripts at once.
#[test]
fn six_pages_in_parallel() {
    let site = Scripts::new(&["-n", "3"], &[("gated", GATED)]);
    let mut clients: Vec<Client> = (0..6).map(|number| site.begin_get(&format!("/cgi-bin/gated?{number}"))).collect();
    site.await_note("ran", |ran| ran.lines().count() == 3);
    assert_eq!(site.get("/missing").status, 404, "files are not kept waiting");
    assert_eq!(site.children().len(), 3);
    fs::write(site.note("go"), "").unwrap();
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.read_response().text(), number.to_string());
    }
}

#[test]
fn the_queue_has_its_bound() {
    let site = Scripts::new(&["-n", "1"], &[("gated", GATED)]);
    let mut running = site.begin_get("/cgi-bin/gated?run");
    site.await_note("ran", |ran| !ran.is_empty());
    let mut waiting: Vec<Client> = (0..64).map(|number| site.begin_get(&format!("/cgi-bin/gated?{number}"))).collect();
    assert_eq!(site.get("/missing").status, 404);
    let refused = site.get("/cgi-bin/gated?late");
    assert_eq!(refused.status, 503);
    assert!(refused.header("retry-after").unwrap().parse::<u32>().is_ok());
    fs::write(site.note("go"), "").unwrap();
    for client in waiting.iter_mut().chain([&mut running]) {
        assert_eq!(client.read_response().status, 200);
    }
    assert!(!fs::read_to_string(site.note("ran")).unwrap().contains("late"));
}

/// A client whose connection can be broken.
fn breakable(site: &Scripts, target: &str) -> TcpStream {
    let mut stream = TcpStream::connect(site.daemon.addr).unwrap();
    stream.write_all(request("GET", target, &[], false).as_bytes()).unwrap();
    stream
}

#[test]
fn one_that_leaves_the_queue_frees_its_place() {
    let site = Scripts::new(&["-n", "1"], &[("gated", GATED)]);
    let mut running = site.begin_get("/cgi-bin/gated?run");
    site.await_note("ran", |ran| !ran.is_empty());
    // The docroot is opened by then, too.
    assert_eq!(site.get("/missing").status, 404);
    let before = site.descriptors() + 1;
    let leaving = breakable(&site, "/cgi-bin/gated?left");
    let also = site.begin(common::post("/cgi-bin/gated?left", b"body"));
    assert_eq!(site.get("/missing").status, 404);
    let mut next = site.begin_get("/cgi-bin/gated?next");
    assert_eq!(site.get("/missing").status, 404);
    reset(leaving);
    drop(also);
    until("they are there", || site.descriptors() <= before);
    fs::write(site.note("go"), "").unwrap();
    assert_eq!((running.read_response().text(), next.read_response().text()), ("run", "next"));
    assert_eq!(fs::read_to_string(site.note("ran")).unwrap(), "run\nnext\n");
}

#[test]
fn a_half_closed_client_gets_its_answer() {
    let site = Scripts::new(&[], &[("gated", GATED)]);
    fs::write(site.note("go"), "").unwrap();
    let mut client = site.begin_get("/cgi-bin/gated?soon");
    client.half_close();
    assert_eq!(client.read_response().text(), "soon");
    fs::remove_file(site.note("go")).unwrap();
    let mut client = site.begin_get("/cgi-bin/gated?half");
    client.half_close();
    assert_eq!(client.read_response().status, 100, "it is asked whether it is there");
    site.await_note("ran", |ran| ran.ends_with("half\n"));
    fs::write(site.note("go"), "").unwrap();
    assert_eq!(client.read_response().text(), "half");
}

#[test]
fn a_script_is_told_when_its_client_leaves() {
    let polite = "#!/bin/sh\ntrap 'echo term >>../told; exit' TERM\nsh -c 'echo $$ >>../pids; exec sleep 1000' &\necho $$ >>../pids\nwait\n";
    let stubborn = "#!/bin/sh\ntrap '' TERM\nsh -c 'echo $$ >>../pids; while :; do sleep 0.05; done' &\necho $$ >>../pids\n\
                    while :; do sleep 0.05; done\n";
    // Its leader goes at once, what it started does not.
    let parent = "#!/bin/sh\nsh -c 'trap \"\" TERM; echo $$ >>../pids; while :; do sleep 0.05; done' &\necho $$ >>../pids\nwait\n";
    for (name, script, told) in [("polite", polite, true), ("stubborn", stubborn, false), ("parent", parent, false)] {
        let site = Scripts::new(&["-n", "1"], &[(name, script), ("hello", HELLO)]);
        let client = breakable(&site, &format!("/cgi-bin/{name}"));
        let pids = site.await_note("pids", |pids| pids.lines().count() == 2);
        let pids: Vec<u32> = pids.lines().map(|pid| pid.parse().unwrap()).collect();
        assert!(pids.iter().all(|&pid| runs(pid)));
        // Most clients leave in order; a client that has something unread leaves with a reset.
        if name == "polite" {
            drop(client)
        } else {
            reset(client)
        }
        assert_eq!(site.get("/cgi-bin/hello").text(), "hello\n", "{name}: the place is free again");
        until(&format!("{name}: some of it lives"), || !pids.iter().any(|&pid| runs(pid)));
        assert_eq!(site.note("told").exists(), told);
        site.await_no_children();
    }
}

#[test]
fn a_client_that_leaves_shows_while_bytes_flow() {
    let site = Scripts::new(
        &[],
        &[("zeros", "#!/bin/sh\nprintf '\\n'\nexec cat /dev/zero\n"), ("sink", "#!/bin/sh\ncat >/dev/null\n")],
    );
    let mut client = site.begin_get("/cgi-bin/zeros");
    assert_eq!(client.read_exact(12), b"HTTP/1.1 200");
    drop(client);
    site.await_no_children();
    // In the middle of its upload even an orderly end is one.
    let client = site.begin([upload("/cgi-bin/sink", 1 << 20).as_bytes(), &[b'x'; 80_000]].concat());
    until("it does not start", || site.children().len() == 1);
    drop(client);
    site.await_no_children();
}

/// The head of an upload of so many bytes.
fn upload(path: &str, size: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n")
}

const ECHO: &str = "#!/bin/sh\nprintf '\\n'\nexec cat\n";
const COUNT: &str = "#!/bin/sh\nn=$(wc -c)\nprintf '\\n%s' $n\n";

/// A form that comes slowly waits outside.
#[test]
fn a_short_body_that_drips_holds_no_place() {
    let site = Scripts::new(&["-n", "1"], &[("echo", ECHO), ("hello", HELLO)]);
    let mut dripping: Vec<Client> = (0..3).map(|_| site.begin([&upload("/cgi-bin/echo", 6), "abc"].concat())).collect();
    dripping.push(
        site.begin("POST /cgi-bin/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n0\r\n"),
    );
    assert_eq!(site.get("/cgi-bin/hello").text(), "hello\n");
    until("the page's script does not go", || site.children().is_empty());
    for (number, client) in dripping.iter_mut().enumerate() {
        client.send(if number < 3 { "def" } else { "\r\n" });
        assert_eq!(client.read_response().text(), "abcdef");
    }
}

/// Of long bodies only the beginning comes before the script; all together they never take the last place.
#[test]
fn uploads_leave_a_place_to_pages() {
    const SIZE: usize = 200_000;
    let site = Scripts::new(&["-n", "3"], &[("count", COUNT), ("hello", HELLO)]);
    let (beginning, rest) = (vec![b'x'; 100_000], vec![b'x'; SIZE - 100_000]);
    let begin = |_| site.begin([upload("/cgi-bin/count", SIZE).as_bytes(), &beginning].concat());
    let mut uploads: Vec<Client> = (0..5).map(begin).collect();
    until("they do not start", || site.children().len() == 2);
    assert_eq!(site.get("/cgi-bin/hello").text(), "hello\n");
    until("the page's script does not go", || site.children().len() == 2);
    uploads.iter_mut().for_each(|client| client.send(&rest));
    for client in &mut uploads {
        assert_eq!(client.read_response().text().trim(), SIZE.to_string());
    }
}

/// Where nothing more can be gathered, a body comes when its script is there.
#[test]
fn what_is_gathered_has_its_bound() {
    let site = Scripts::new(&["-n", "2"], &[("count", COUNT), ("echo", ECHO)]);
    let size = 64 << 10;
    let begin = |_| site.begin([upload("/cgi-bin/count", size).as_bytes(), &vec![b'x'; size - 1]].concat());
    let mut held: Vec<Client> = (0..4).map(begin).collect();
    assert_eq!(site.get("/missing").status, 404);
    for _ in 0..3 {
        let mut client = site.begin(common::post("/cgi-bin/echo", &common::pattern(30_000)));
        assert!(client.read_response().body == common::pattern(30_000));
    }
    until("their scripts do not go", || site.children().is_empty());
    // Those that leave make room.
    held.truncate(2);
    held.iter_mut().for_each(|client| client.send("x"));
    for client in &mut held {
        assert_eq!(client.read_response().text().trim(), size.to_string());
    }
}

/// Whatever others have sent, a short body comes before its script, and needs no place of the uploads'.
#[test]
fn a_short_body_passes_uploads() {
    let site = Scripts::new(&["-n", "3"], &[("count", COUNT)]);
    let size = 64 << 10;
    let begin = |_| site.begin([upload("/cgi-bin/count", size).as_bytes(), &vec![b'x'; size - 1]].concat());
    let held: Vec<Client> = (0..5).map(begin).collect();
    let begin = |_| site.begin([upload("/cgi-bin/count", 1 << 20).as_bytes(), &[b'x'; 100_000]].concat());
    let uploads: Vec<Client> = (0..2).map(begin).collect();
    until("they do not start", || site.children().len() == 2);
    for size in [1, 60, 4095, 4096] {
        let body = common::pattern(size);
        for bytes in [common::post("/cgi-bin/count", &body), common::post_chunked("/cgi-bin/count", &body, 999)] {
            assert_eq!(site.begin(bytes).read_response().text().trim(), size.to_string());
        }
    }
    drop((held, uploads));
    site.await_no_children();
}

/// One that waits outside has to keep on sending, too.
#[test]
fn a_beginning_that_drips_is_given_up() {
    let site = Scripts::new(&["-t", "1"], &[("count", COUNT)]);
    for (size, sent) in [(100, 1), (64 << 10, 60_000)] {
        let mut client = site.begin([upload("/cgi-bin/count", size).as_bytes(), &vec![b'x'; sent]].concat());
        // The server waits a moment for the rest, after its answer.
        for _ in 0..25 {
            thread::sleep(Duration::from_millis(100));
            let _ = client.try_send("x");
        }
        let reply = client.read_response();
        assert!(reply.status == 408 && reply.closes(), "{reply:?}");
        site.log(&["error", "/cgi-bin/count", "408"]);
    }
    // An honest one may be slow.
    let mut client = site.begin(upload("/cgi-bin/count", 20 * 600));
    for _ in 0..20 {
        thread::sleep(Duration::from_millis(100));
        client.send([b'x'; 600]);
    }
    assert_eq!(client.read_response().text().trim(), "12000");
}

/// `Expect: 100-continue` is answered at once, and the body waits for the script.
#[test]
fn an_expected_body_comes_before_its_turn() {
    let site = Scripts::new(&["-n", "1"], &[("gated", GATED), ("echo", ECHO)]);
    let mut running = site.begin_get("/cgi-bin/gated?run");
    site.await_note("ran", |ran| !ran.is_empty());
    for framing in ["Content-Length: 6", "Transfer-Encoding: chunked"] {
        let head = format!("POST /cgi-bin/echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n{framing}\r\n\r\n");
        let mut client = site.begin(head);
        assert_eq!(client.read_response().status, 100, "{framing}");
        client.send(if framing.ends_with('6') { "abcdef" } else { "6\r\nabcdef\r\n0\r\n\r\n" });
        assert_eq!(site.get("/missing").status, 404);
        assert_eq!(site.children().len(), 1);
        fs::write(site.note("go"), "").unwrap();
        assert_eq!(client.read_response().text(), "abcdef", "{framing}");
        if framing.ends_with('6') {
            assert_eq!(running.read_response().text(), "run");
            fs::remove_file(site.note("go")).unwrap();
            running = site.begin_get("/cgi-bin/gated?again");
            site.await_note("ran", |ran| ran.ends_with("again\n"));
        }
    }
    assert_eq!(running.read_response().text(), "again");
}

/// One that holds a place has to keep on sending.
#[test]
fn a_long_body_that_drips_is_given_up() {
    let early = "#!/bin/sh\nprintf '\\nfirst\\n'\nexec wc -c\n";
    let site = Scripts::new(&["-n", "1", "-t", "1"], &[("count", COUNT), ("early", early), ("hello", HELLO)]);
    for (name, begun) in [("count", false), ("early", true)] {
        let path = format!("/cgi-bin/{name}");
        let mut client = site.begin([upload(&path, 1 << 20).as_bytes(), &[b'x'; 80_000]].concat());
        until("it does not start", || site.children().len() == 1);
        let mut next = site.begin_get("/cgi-bin/hello");
        // A byte now and then is not enough, nor that much came before.
        until("it goes on", || {
            thread::sleep(Duration::from_millis(100));
            client.try_send("x").is_err() || site.children().is_empty()
        });
        if begun {
            assert!(client.try_response(false).is_err(), "a reply that was broken off must not look whole");
        } else {
            assert_eq!(client.read_response().status, 408);
        }
        site.log(&["error", &path, "1 KiB/s"]);
        assert_eq!(next.read_response().text(), "hello\n");
    }
    // An honest one may be slow, and stall.
    let mut client = site.begin([upload("/cgi-bin/count", 80_000 + 20 * 600).as_bytes(), &[b'x'; 80_000]].concat());
    for _ in 0..20 {
        thread::sleep(Duration::from_millis(200));
        client.send([b'x'; 600]);
    }
    assert_eq!(client.read_response().text().trim(), "92000");
}

/// A place is for a script that runs, not for one that waits for its client, who takes more than the least.
#[test]
fn slow_readers_hold_no_places() {
    let site = Scripts::new(&["-n", "3"], &[("large", LARGE), ("hello", HELLO)]);
    let mut slow: Vec<Client> = (0..3).map(|_| site.begin_get("/cgi-bin/large")).collect();
    for client in &mut slow {
        assert_eq!(client.read_exact(12), b"HTTP/1.1 200");
    }
    for _ in 0..3 {
        assert_eq!(site.get("/cgi-bin/hello").text(), "hello\n");
        slow.iter_mut().for_each(|client| drop(client.read_exact(1500)));
    }
    until("they do not go on", || site.children().len() == 3);
    // One that reads on gets all of it.
    let mut first = slow.swap_remove(0);
    let mut all = first.read_exact(25_000_000).len();
    while all < 30_000_000 {
        all += first.skim(1 << 20);
    }
}

/// Nor do uploads that stand still.
#[test]
fn slow_uploads_hold_no_places() {
    let site = Scripts::new(&["-n", "2"], &[("count", COUNT)]);
    let begun = [upload("/cgi-bin/count", 200_000).as_bytes(), &[b'x'; 100_000]].concat();
    let mut slow = site.begin(&begun);
    until("it does not start", || site.children().len() == 1);
    let mut next = site.begin(&begun);
    until("it does not start", || site.children().len() == 2);
    for client in [&mut next, &mut slow] {
        client.send([b'x'; 100_000]);
        assert_eq!(client.read_response().text(), "200000");
    }
}

/// Without a place they are processes all the same: there are twice as many of them as places at the most.
#[test]
fn slow_readers_are_cut_off_beyond_a_number() {
    let site = Scripts::new(&["-n", "2"], &[("large", LARGE), ("hello", HELLO)]);
    let slow: Vec<Client> = (0..12)
        .map(|_| {
            let mut client = site.begin_get("/cgi-bin/large");
            assert_eq!(client.read_exact(12), b"HTTP/1.1 200");
            until("too many processes", || site.children().len() <= 4 + 2);
            client
        })
        .collect();
    site.log(&["warn", "/cgi-bin/large", "too slow"]);
    assert_eq!(site.get("/cgi-bin/hello").text(), "hello\n");
    drop(slow);
    site.await_no_children();
}

/// As many of one client's requests wait as are a quarter of the queue; those of this machine itself are many clients'.
#[test]
fn a_client_has_its_share_of_the_queue() {
    let own = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        // Nothing is sent.
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    let Some(own) = own.ok().map(|addr| addr.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified()) else {
        skip("no address but the loopback's");
        return;
    };
    let mut site = Scripts::new(&["-n", "1", "-p", &format!("{own}:0")], &[("gated", GATED)]);
    let loopback = site.daemon.addr;
    let line = site.daemon.line();
    let port = line.split(&format!("http://{own}:")).nth(1).expect("the second address").split('/').next().unwrap();
    site.daemon.addr = (own, port.parse().unwrap()).into();
    let mut clients = vec![site.begin_get("/cgi-bin/gated?run")];
    site.await_note("ran", |ran| !ran.is_empty());
    clients.extend((0..16).map(|number| site.begin_get(&format!("/cgi-bin/gated?{number}"))));
    assert_eq!(site.get("/missing").status, 404);
    let refused = site.get("/cgi-bin/gated?late");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("2")));
    site.daemon.addr = loopback;
    clients.push(site.begin_get("/cgi-bin/gated?other"));
    assert_eq!(site.get("/missing").status, 404);
    fs::write(site.note("go"), "").unwrap();
    assert!(clients.iter_mut().all(|client| client.read_response().status == 200));
}

#[test]
fn a_script_that_does_nothing_is_ended() {
    let sleep = "#!/bin/sh\necho $$ >../pid\nexec sleep 1000\n";
    let half = "#!/bin/sh\necho $$ >../pid\nprintf 'A: b\\n\\npart'\nexec sleep 1000\n";
    let deaf = "#!/bin/sh\necho $$ >../pid\nexec sleep 1000\n";
    let site = Scripts::new(&["-t", "1", "-n", "1"], &[("sleep", sleep), ("half", half), ("deaf", deaf)]);
    let reply = site.get("/cgi-bin/sleep");
    assert_eq!(reply.status, 504);
    site.log(&["error", "/cgi-bin/sleep", "504"]);

    let mut client = site.begin_get("/cgi-bin/half");
    assert!(client.try_response(false).is_err(), "a reply that was broken off must not look whole");
    let (rest, end) = client.rest();
    assert!(end == End::Eof && rest.ends_with(b"4\r\npart\r\n"), "{end:?} {}", rest.escape_ascii());
    site.log(&["error", "/cgi-bin/half", "in the middle"]);

    // It takes none of its body.
    let mut client = site.begin(common::post("/cgi-bin/deaf", &common::pattern(1 << 20)));
    assert_eq!(client.read_response().status, 504);
    until("it lives", || fs::read_to_string(site.note("pid")).is_ok_and(|pid| !runs(pid.trim().parse().unwrap())));
    site.await_no_children();
}

#[test]
fn a_script_that_moves_is_not() {
    let slow = "#!/bin/sh\nprintf 'A: b\\n\\n'\nfor i in 1 2 3 4 5 6 7; do sleep 0.3; echo $i; done\n";
    let site = Scripts::new(&["-t", "1"], &[("slow", slow)]);
    assert_eq!(site.get("/cgi-bin/slow").text(), "1\n2\n3\n4\n5\n6\n7\n");
}

const LARGE: &str = "#!/bin/sh\nprintf '\\n'\nexec head -c 30000000 /dev/zero\n";

/// One that holds a place has to keep on reading.
#[test]
fn a_reader_that_drips_is_given_up() {
    let quick = "#!/bin/sh\necho >../ran\nprintf '\\nquick'\n";
    let site = Scripts::new(&["-n", "1", "-t", "1"], &[("large", LARGE), ("quick", quick)]);
    let mut client = site.begin_get("/cgi-bin/large");
    assert_eq!(client.read_exact(12), b"HTTP/1.1 200");
    let mut next = site.begin_get("/cgi-bin/quick");
    until("it goes on", || {
        thread::sleep(Duration::from_millis(50));
        client.read_exact(1);
        site.note("ran").exists()
    });
    assert_eq!(next.read_response().text(), "quick");
    site.log(&["error", "/cgi-bin/large", "read less than 1 KiB/s"]);
    let (rest, end) = client.rest();
    assert!(end == End::Reset && rest.len() < 30_000_000, "{end:?} after {} bytes", rest.len());
}

/// The kernel takes more for a client that was fast in lumps: what counts is what the client takes.
#[test]
fn a_reader_that_is_slow_and_steady_is_not() {
    let site = Scripts::new(&["-t", "5"], &[("large", LARGE)]);
    let mut client = site.begin(request("GET", "/cgi-bin/large", &[], true));
    client.read_exact(6 << 20);
    for _ in 0..250 {
        thread::sleep(Duration::from_millis(50));
        client.read_exact(8 << 10);
    }
    let (rest, _) = client.rest();
    assert!(rest.len() > 20_000_000, "cut after {} more", rest.len());
}

/// All its waits together are longer than a script may do nothing.
#[test]
fn a_reader_that_pauses_is_not() {
    let site = Scripts::new(&["-t", "2"], &[("large", LARGE)]);
    let mut client = site.begin_get("/cgi-bin/large");
    assert_eq!(client.read_exact(12), b"HTTP/1.1 200");
    for _ in 0..4 {
        thread::sleep(Duration::from_millis(800));
        client.read_exact(6 << 20);
    }
    client.send(request("GET", "/missing", &[], true));
    let (rest, _) = client.rest();
    assert!(rest.windows(12).any(|window| window == b"HTTP/1.1 404"), "{} bytes", rest.len());
}

#[test]
fn stopping_ends_scripts() {
    let site =
        Scripts::new(&[], &[("sleep", "#!/bin/sh\necho $$ >>../pids\ntrap '' TERM\nwhile :; do sleep 0.05; done\n")]);
    let mut client = site.begin_get("/cgi-bin/sleep");
    let pid: u32 = site.await_note("pids", |pids| pids.ends_with('\n')).trim().parse().unwrap();
    site.daemon.signal("TERM");
    thread::sleep(MOMENT);
    site.daemon.signal("TERM");
    client.rest();
    until("it outlives its server", || !runs(pid));
}

/// Requests one after the other, and at once.
const SEQUENTIAL: usize = 2000;
const CONCURRENT: usize = 200;

#[test]
fn nothing_is_left_behind() {
    let site = Scripts::new(&["-n", "8", "-N", "300"], &[("hello", HELLO)]);
    let ask = |client: &mut Client| {
        client.send(request("GET", "/cgi-bin/hello", &[], false));
        let reply = client.read_response();
        assert!(reply.status == 503 || reply.text() == "hello\n", "{reply:?}");
    };
    let concurrently = || {
        let mut clients: Vec<Client> = (0..CONCURRENT).map(|_| site.daemon.connect()).collect();
        clients.iter_mut().for_each(|client| client.send(request("GET", "/cgi-bin/hello", &[], true)));
        let statuses: Vec<u16> = clients.iter_mut().map(|client| client.read_response().status).collect();
        // Eight run, 64 wait, and how many of the others come too late is a matter of time.
        assert!(statuses.iter().filter(|&&status| status == 200).count() >= 64, "{statuses:?}");
        assert!(statuses.iter().all(|status| [200, 503].contains(status)), "{statuses:?}");
    };
    concurrently();
    let mut client = site.daemon.connect();
    ask(&mut client);
    site.await_no_children();
    let idle = || {
        site.await_no_children();
        site.descriptors()
    };
    let (mut descriptors, memory) = (0, site.pss());
    until("descriptors do not settle", || {
        let now = idle();
        now == std::mem::replace(&mut descriptors, now)
    });
    (0..SEQUENTIAL).for_each(|_| ask(&mut client));
    concurrently();
    until("descriptors leak", || idle() <= descriptors);
    let after = site.pss();
    assert!(after <= memory + 300, "{memory} KiB before, {after} KiB after");
}
