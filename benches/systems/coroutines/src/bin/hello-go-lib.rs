//! Says hello and ends: what the rows `size` and `hello` measure.

use go_lib::chan::chan;

#[go_lib::main]
fn main() {
    let (tx, rx) = chan(0);
    go_lib::go!(move || {
        println!("hello");
        tx.send(());
    });
    rx.recv().expect("it was said");
}
