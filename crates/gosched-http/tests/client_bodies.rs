//! Bodies that come compressed, and bodies that are JSON.
#![allow(non_snake_case)]

mod common;

use common::{bounded, everywhere, serve};
use gosched::chan;
use gosched::context::background;
use gosched_http::{
    Body, BodyWriter, Client, Handler, IntoResponse, Json, Method, Request, Response, StatusCode,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};

fn gzip(text: impl AsRef<[u8]>) -> Vec<u8> {
    compressed("gzip", &[text.as_ref()]).concat()
}

fn br(text: impl AsRef<[u8]>) -> Vec<u8> {
    compressed("br", &[text.as_ref()]).concat()
}

/// Each piece can be read when it has come; the end is in the last one. On another thread: without optimisation these
/// encoders want a large stack.
fn compressed(coding: &str, pieces: &[&[u8]]) -> Vec<Vec<u8>> {
    let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_vec()).collect();
    if coding == "gzip" {
        return gosched::blocking(move || {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            let flushed = flushed(&mut encoder, &pieces, |encoder| encoder.get_mut());
            with_end(flushed, encoder.finish().unwrap())
        });
    }
    gosched::blocking(move || {
        let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 1, 20);
        let flushed = flushed(&mut encoder, &pieces, |encoder| encoder.get_mut());
        with_end(flushed, encoder.into_inner())
    })
}

fn flushed<E: Write>(
    encoder: &mut E,
    pieces: &[Vec<u8>],
    out: impl Fn(&mut E) -> &mut Vec<u8>,
) -> Vec<Vec<u8>> {
    let one = |piece: &Vec<u8>| {
        encoder.write_all(piece).unwrap();
        encoder.flush().unwrap();
        std::mem::take(out(encoder))
    };
    pieces.iter().map(one).collect()
}

fn with_end(mut pieces: Vec<Vec<u8>>, end: Vec<u8>) -> Vec<Vec<u8>> {
    pieces.last_mut().unwrap().extend(end);
    pieces
}

/// Text that does not become very small.
fn long() -> String {
    (0..20_000_u64).map(|n| format!("{} ", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect()
}

fn coded(coding: &str, body: impl Into<Body>) -> Response {
    Response::builder().header("content-encoding", coding).body(body.into()).unwrap()
}

/// A server that answers with `body`, said to be compressed by the request's path; and its address.
fn with_server(handler: impl Handler, test: impl FnOnce(&Client, &dyn Fn(&str) -> String)) {
    let served = serve(handler);
    let client = Client::builder().max_per_host(1).build();
    let addr = served.addr;
    test(&client, &|path| format!("http://{addr}{path}"));
    client.close_idle_connections();
    served.end();
}

#[test]
fn what_comes_compressed_is_read_as_what_it_was() {
    everywhere(|| {
        let handler = |request: Request| {
            assert_eq!(request.header("accept-encoding"), Some("gzip, br"));
            match request.path() {
                "/gzip" => coded("gzip", gzip(long())),
                "/br" => coded("BR", br(long())),
                // Several after each other are one.
                "/parts" => coded("gzip", [gzip("one "), gzip(""), gzip("two")].concat()),
                "/nothing" => coded("gzip", gzip("")),
                // Said to be compressed, and is not even that.
                "/less" => coded("gzip", Body::stream(|_| Ok(()))),
                "/empty" => coded("gzip", ""),
                _ => "plain".into_response(),
            }
        };
        with_server(handler, |client, url| {
            let get = |path: &str| client.get(&background(), &url(path)).unwrap();
            for path in ["/gzip", "/br"] {
                let mut response = get(path);
                assert!(response.body().was_decompressed());
                assert_eq!(response.body().len(), None);
                let headers = response.headers();
                assert!(!headers.contains_key("content-encoding") && !headers.contains_key("content-length"));
                assert!(response.body_mut().text(1 << 20).unwrap() == long(), "{path}");
            }
            assert_eq!(get("/parts").body_mut().text(100).unwrap(), "one two");
            for path in ["/nothing", "/less", "/empty"] {
                assert_eq!(get(path).body_mut().text(100).unwrap(), "", "{path}");
            }
            let mut plain = get("/");
            assert!(!plain.body().was_decompressed());
            assert_eq!(plain.body_mut().text(100).unwrap(), "plain");
            // All of that on one connection: each body was read to its end.
            assert_eq!(client.connections(), 1);
        });
    });
}

#[test]
fn who_asks_for_it_gets_it_as_it_is() {
    everywhere(|| {
        let handler = |request: Request| {
            let asked = request.header("accept-encoding").unwrap_or("nothing").to_owned();
            let mut response = coded("gzip", gzip(asked));
            response.headers_mut().insert("x", "y".parse().unwrap());
            response
        };
        with_server(handler, |client, url| {
            let as_is = |client: &Client, name: &str, value: &str, asked: &str| {
                let request = client.request(Method::GET, &url("/")).header(name, value);
                let mut response = request.send(&background()).unwrap();
                assert!(!response.body().was_decompressed());
                assert_eq!(response.headers()["content-encoding"], "gzip");
                assert!(response.body_mut().bytes(1000).unwrap() == gzip(asked), "{asked}");
            };
            as_is(client, "accept-encoding", "gzip", "gzip");
            as_is(client, "range", "bytes=0-9", "nothing");
            as_is(&Client::builder().decompress(false).build(), "x", "y", "nothing");
            let head = client.request(Method::HEAD, &url("/")).send(&background()).unwrap();
            assert_eq!(
                (&head.headers()["content-encoding"], head.body().was_decompressed()),
                (&"gzip".parse().unwrap(), false)
            );
        });
    });
}

#[test]
fn what_is_cut_off_or_wrong_is_an_error() {
    everywhere(|| {
        let handler = |request: Request| {
            let text = long();
            let (coding, mut bytes) = match request.query("as").unwrap().as_str() {
                "gzip" => ("gzip", gzip(text)),
                _ => ("br", br(text)),
            };
            match request.path() {
                "/no-head" => bytes.truncate(1),
                "/half" => bytes.truncate(bytes.len() / 2),
                "/no-tail" => bytes.truncate(bytes.len() - 1),
                "/wrong" => {
                    let half = bytes.len() / 2;
                    bytes[half..half + 64].fill(0xff);
                }
                "/more" => bytes.extend(b"more"),
                "/other" => bytes = b"this is no compressed text at all".to_vec(),
                _ => {}
            }
            coded(coding, bytes)
        };
        with_server(handler, |client, url| {
            let read = |path: &str| {
                let mut response = client.get(&background(), &url(path)).unwrap();
                let mut text = String::new();
                response
                    .body_mut()
                    .read_to_string(&mut text)
                    .map_err(|error| (error.kind(), error.to_string()))
            };
            for coding in ["gzip", "br"] {
                for path in ["/no-head", "/half", "/no-tail"] {
                    let (kind, text) = read(&format!("{path}?as={coding}")).unwrap_err();
                    assert_eq!(kind, ErrorKind::UnexpectedEof, "{path} {coding}: {text}");
                    assert_eq!(text, "the compressed body has no end", "{path} {coding}");
                }
                for path in ["/wrong", "/other", "/more"] {
                    let (kind, text) = read(&format!("{path}?as={coding}")).unwrap_err();
                    assert_eq!(kind, ErrorKind::InvalidData, "{path} {coding}: {text}");
                }
                read(&format!("/?as={coding}")).unwrap();
            }
        });
    });
}

#[test]
fn a_small_body_that_is_huge_when_read_takes_no_more_than_is_asked_for() {
    everywhere(|| {
        let handler = |request: Request| {
            let coding = request.path().trim_start_matches('/');
            let (letters, times) = (vec![b'x'; 1 << 20], 16);
            coded(coding, compressed(coding, &vec![&letters[..]; times]).concat())
        };
        with_server(handler, |client, url| {
            for path in ["/gzip", "/br"] {
                let mut response = client.get(&background(), &url(path)).unwrap();
                let error = response.body_mut().bytes(100_000).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::FileTooLarge);
                drop(response);
                let mut response = client.get(&background(), &url(path)).unwrap();
                let largest =
                    (0..100).map(|_| response.body_mut().next_chunk().unwrap().unwrap().len()).max();
                assert!(largest.unwrap() <= 16 * 1024, "{largest:?}");
            }
        });
    });
}

/// What was written comes before the rest is.
#[test]
fn what_is_sent_in_pieces_is_read_in_pieces() {
    everywhere(|| {
        let (tx, rx) = chan::bounded::<()>(0);
        let handler = move |request: Request| {
            let rx = rx.clone();
            let coding = request.path().trim_start_matches('/').to_owned();
            let pieces = compressed(&coding, &[&b"piece"[..]; 3]);
            let write = move |writer: &mut BodyWriter| {
                for piece in pieces {
                    writer.send(piece)?;
                    rx.recv().unwrap();
                }
                Ok(())
            };
            coded(&coding, Body::stream(write))
        };
        with_server(handler, |client, url| {
            for path in ["/gzip", "/br"] {
                let mut response = client.get(&background(), &url(path)).unwrap();
                for _ in 0..3 {
                    let mut piece = [0; 5];
                    response.body_mut().read_exact(&mut piece).unwrap();
                    assert_eq!(&piece, b"piece");
                    tx.send(()).unwrap();
                }
                assert_eq!(response.body_mut().text(100).unwrap(), "");
            }
        });
    });
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Thing {
    name: String,
    sizes: Vec<u32>,
}

fn thing() -> Thing {
    Thing { name: "\"é\"".to_owned(), sizes: vec![1, 2, 3] }
}

/// Values that cannot be JSON.
fn unspeakable() -> BTreeMap<Vec<u8>, u8> {
    BTreeMap::from([(vec![1], 2)])
}

#[test]
fn values_go_both_ways_as_json() {
    everywhere(|| {
        let handler = |mut request: Request| -> Result<Json<Thing>, (StatusCode, String)> {
            assert_eq!(request.header("content-type"), Some("application/json"));
            let thing: Thing = request
                .body_mut()
                .json(100)
                .map_err(|error| (StatusCode::BAD_REQUEST, format!("{:?} {error}", error.kind())))?;
            Ok(Json(Thing { name: thing.name.repeat(2), ..thing }))
        };
        with_server(handler, |client, url| {
            let ctx = background();
            let mut response = client.post_json(&ctx, &url("/"), &thing()).unwrap();
            assert_eq!(response.headers()["content-type"], "application/json");
            let answer: Thing = response.body_mut().json(1000).unwrap();
            assert_eq!(answer, Thing { name: "\"é\"\"é\"".to_owned(), ..thing() });
            // Another type, and too much.
            let mut response = client.post_json(&ctx, &url("/"), &[1, 2]).unwrap();
            assert_eq!(response.status(), 400);
            let text = response.body_mut().text(1000).unwrap();
            assert!(text.starts_with("InvalidData invalid "), "{text}");
            let large = Thing { sizes: vec![7; 100], ..thing() };
            let mut response = client.post_json(&ctx, &url("/"), &large).unwrap();
            assert!(response.body_mut().text(1000).unwrap().starts_with("FileTooLarge "));
            let error = client.post_json(&ctx, &url("/"), &unspeakable()).unwrap_err();
            assert!(error.is_request(), "{error}");
            assert!(error.to_string().starts_with(&format!("POST {}: the value cannot be JSON: ", url("/"))));
        });
    });
}

#[test]
fn what_cannot_be_json_is_answered_with_an_error() {
    bounded(|| {
        assert_eq!(Json(unspeakable()).into_response().status(), 500);
        assert_eq!((StatusCode::CREATED, Json(1)).into_response().status(), 201);
        let type_of = |response: &Response| response.headers()["content-type"].clone();
        assert_eq!(type_of(&Json(1).into_response()), "application/json");
    });
}
