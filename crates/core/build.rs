//! Nothing to build: cargo wants a build script of a package with `links`, which makes this crate one of a kind.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
