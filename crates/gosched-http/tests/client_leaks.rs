//! A client leaves nothing behind: no goroutine, once its connections are closed. Row H09 of the features.
#![allow(non_snake_case)]

mod common;

use common::{eventually, everywhere, ms, raw, read_all, serve};
use gosched::context::background;
use gosched::debug::leak::Guard;
use gosched::go;
use gosched_http::{Body, Client, Method, Request};

#[test]
fn H09_closing_idle_connections_ends_all_that_a_client_has_started() {
    everywhere(|| {
        let served = serve(|mut request: Request| match request.path() {
            "/slow" => {
                let _ = request.context().done().recv();
                Body::empty()
            }
            "/big" => vec![b'x'; 1 << 20].into(),
            _ => request.body_mut().text(1 << 20).unwrap().into(),
        });
        let silent = raw(|mut stream| drop(read_all(&mut stream)));
        let url = |path: &str| format!("http://{}{path}", served.addr);
        let guard = Guard::new();
        let client = Client::builder().max_per_host(3).build();
        let asking: Vec<_> = (0..12)
            .map(|n| {
                let client = client.clone();
                let (echo, slow, big) = (url("/"), url("/slow"), url("/big"));
                let silent = format!("http://{}/", silent.addr);
                go(move || {
                    let ctx = background();
                    let body = format!("body {n}");
                    let mut response = client.post(&ctx, &echo, body.clone()).unwrap();
                    assert_eq!(response.body_mut().text(100).unwrap(), body);
                    // Given up while waiting for the head, or for a connection.
                    let short = ctx.with_timeout(ms(n));
                    assert!(client.get(&short, &slow).is_err());
                    assert!(client.get(&ctx.with_timeout(ms(n)), &silent).is_err());
                    // Given up while reading, and not read at all.
                    let mut response = client.get(&ctx, &big).unwrap();
                    response.body_mut().next_chunk().unwrap();
                    drop(response);
                    drop(client.get(&ctx, &big).unwrap());
                    // A body that never comes.
                    let (writer, body) = Body::channel();
                    let put = client.request(Method::PUT, &echo).header("expect", "100-continue").body(body);
                    assert!(put.send(&ctx.with_timeout(ms(n))).is_err());
                    drop(writer);
                })
            })
            .collect();
        asking.into_iter().for_each(|asking| asking.join().unwrap());
        eventually("all are idle", || client.connections() == client.idle_connections());
        client.close_idle_connections();
        drop(guard);
        // The same when the client goes without that.
        let guard = Guard::new();
        let mut response = client.post(&background(), &url("/"), "last").unwrap();
        assert_eq!(response.body_mut().text(100).unwrap(), "last");
        drop((client, response));
        drop(guard);
        served.end();
    });
}
