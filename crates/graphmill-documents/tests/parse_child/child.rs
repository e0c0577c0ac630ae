//! The program that the tests of the parser pool start as its child.

fn main() {
    std::process::exit(graphmill_documents::child::main());
}
