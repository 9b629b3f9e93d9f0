//! Each mistake gets a message that says what to write instead, at the token that is wrong.

use proc_macro2::TokenStream;
use syn::parse::Parser;

use super::parse::{Invocation, invocation};

fn parse(cases: &str) -> syn::Result<Invocation> {
    let tokens: TokenStream = format!("library select {cases}").parse().expect("the test is made of tokens");
    invocation.parse2(tokens)
}

/// Asserts the message and the text it is shown at.
#[track_caller]
fn rejected(cases: &str, message: &str, at: &str) {
    let error = parse(cases).err().unwrap_or_else(|| panic!("accepted: {cases}"));
    assert_eq!(error.to_string(), message);
    assert_eq!(error.span().source_text().as_deref(), Some(at), "for: {message}");
}

#[test]
fn unknown_keyword() {
    let message = |found| format!("expected one of `recv`, `send`, or `default`, found `{found}`");
    rejected("receive(rx) -> _ => {}", &message("receive"), "receive");
    rejected("recv(rx) -> _ => {}, 5 => {}", &message("5"), "5");
    rejected("{ recv(rx) -> _ => {} }", &message("{…}"), "{ recv(rx) -> _ => {} }");
    rejected("recv(rx) -> _ => {},, default => {}", &message(","), ",");
}

#[test]
fn missing_arrow_or_pattern() {
    let no_result =
        |word| format!("expected `->` after `{word}` case, found `=>`: write `-> _` to ignore the result");
    // The span of `=>` is reported by its first character.
    let at = |cases: &str, message: &str| {
        let error = parse(cases).err().expect("a mistake");
        assert_eq!(error.to_string(), message);
    };
    at("recv(rx) => {}", &no_result("recv"));
    at("send(tx, 1) => {}", &no_result("send"));
    at("recv(rx) -> => {}", "missing pattern after `->`");
    at("recv(rx) -> a -> b => {}", "expected `=>`, found `->`");
    at("default -> _ => {}", "expected `=>` after `default` case, found `->`");
    at("default(d) -> _ => {}", "expected `=>` after `default` case, found `->`");
    rejected("recv(rx)", "missing `-> result => …` after `recv` case", "recv");
    rejected("recv(rx) value => {}", "expected `->`, found `value`", "value");
    rejected("recv(rx) -> value {}", "missing `=>` after `recv` case", "recv");
    rejected("default(d)", "missing `=>` after `default` case", "default");
}

#[test]
fn wrong_arguments() {
    let recv = "`recv` takes one argument: `recv(receiver) -> result => …`";
    let send = "`send` takes two arguments: `send(sender, message) -> result => …`";
    rejected("recv() -> _ => {}", recv, "recv");
    rejected("recv(rx, 1) -> _ => {}", recv, "1");
    rejected("send(tx) -> _ => {}", send, "send");
    rejected("send(tx,) -> _ => {}", send, "send");
    rejected("send(tx, 1, 2) -> _ => {}", send, "2");
    rejected("default(a, b) => {}", "`default` takes at most one argument, the timeout", "b");
    rejected("recv", "missing argument list after `recv`", "recv");
    rejected("recv -> _ => {}", "missing argument list after `recv`", "recv");
    rejected("send => {}", "missing argument list after `send`", "send");
    rejected("recv[rx] -> _ => {}", "expected an argument list after `recv`, found `[…]`", "[");
    rejected("default 5 => {}", "expected an argument list or `=>` after `default`, found `5`", "5");
}

#[test]
fn two_defaults() {
    let cases = "default => {} recv(rx) -> _ => {} default(d) => {}";
    let error = parse(cases).err().expect("two defaults");
    assert_eq!(error.to_string(), "there can be only one `default` case in `select!`");
    assert_eq!(error.span().start().column, "library select ".len() + cases.rfind("default").unwrap());
}

#[test]
fn missing_comma() {
    let cases = "recv(rx) -> _ => go() default => {}";
    rejected(cases, "did you mean to put a comma after `go ()`?", "go()");
    let cases = "default => println!(\"{}\", 1) recv(rx) -> _ => {}";
    rejected(cases, "did you mean to put a comma after `println ! (\"{}\" , 1)`?", "println!(\"{}\", 1)");
    let long = "aaaa(bbbb, cccc, dddd, eeee, ffff, gggg, hhhh)";
    let message = "did you mean to put a comma after `aaaa (bbbb , cccc , dddd , eeee , ffff ,…`?";
    rejected(&format!("default => {long} recv(rx) -> _ => {{}}"), message, long);
    let message = "did you mean to put a comma instead of the semicolon after `{ }`?";
    rejected("recv(rx) -> _ => {}; default => {}", message, ";");
}

#[test]
fn missing_body() {
    rejected("default =>", "expected an expression after `=>`", "default");
    rejected("default => , recv(rx) -> _ => {}", "expected an expression after `=>`", ",");
    let message = "expected an expression after `=>`, found the next case";
    rejected("default => recv(rx) -> _ => {}", message, "recv");
    rejected("recv(rx) -> _ => default => {}", message, "default");
    rejected("recv(rx) -> _ => default(d) => {}", message, "default");
    // Functions may be called like cases.
    assert!(parse("recv(rx) -> _ => recv(rx), default => send(tx, 1)").is_ok());
}

#[test]
fn what_is_right_is_accepted() {
    let parsed = parse(
        "recv(rx) -> Ok(x) => |a, b| a < b, send(f::<A, B>(), {1}) -> _ => if a {1} else {2} default => 3",
    );
    let parsed = parsed.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((parsed.cases.len(), parsed.default.is_some()), (2, true));
    assert_eq!(parsed.cases[0].body.to_string(), "(| a , b | a < b)");
    assert!(parse("").is_ok_and(|nothing| nothing.cases.is_empty() && nothing.default.is_none()));
}
