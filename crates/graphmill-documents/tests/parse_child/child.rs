//! The program that the tests of the parser pool start as its child. With the argument `host` it is a parent instead,
//! whose child hangs: for the test that kills it.

use graphmill_documents::Format;
use graphmill_documents::child::{Fault, ParserCommand, ParserLimits, ParserPool};

fn main() {
    if std::env::args().nth(1).as_deref() == Some("host") {
        host();
    }
    std::process::exit(graphmill_documents::child::main());
}

fn host() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let command = ParserCommand::this_program(["child"]).expect("this program");
        let pool = ParserPool::new(command, ParserLimits::default()).expect("a thread");
        pool.inject(Fault::Hang);
        let path = std::env::current_exe().expect("a file that exists");
        let mut events = pool.parse(&path, Format::Text);
        println!("{:?}", events.next().await);
        let event = events.next().await;
        unreachable!("the child hangs, yet there is {event:?}");
    });
}
