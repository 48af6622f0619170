//! What tests of several files share.

use ecohttpd::{Connection, Options, Request, Server};
use std::time::Duration;

/// Runs a test on a loop. The loop ends with the test, even if that panics.
pub fn on_loop(test: impl AsyncFn() + 'static) {
    struct Stop(ecohttpd::Handle);
    impl Drop for Stop {
        fn drop(&mut self) {
            self.0.stop(Duration::ZERO);
        }
    }

    let mut server = Server::new(Options::new(), async |_: &mut Connection, _: &mut Request| ()).unwrap();
    let (stop, (done, ended)) = (Stop(server.handle()), std::sync::mpsc::channel());
    server
        .spawn(async move {
            let _stop = stop;
            ecohttpd::timeout(Duration::from_secs(20), test()).await.expect("it hangs");
            done.send(()).unwrap();
        })
        .detach();
    server.run().unwrap();
    ended.try_recv().expect("the test failed");
}
