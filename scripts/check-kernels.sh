#!/bin/sh
# The kernels' tests under AddressSanitizer: a read or write past the end of what was allocated ends the test that does it.
#
#     scripts/check-kernels.sh         every kernel on every instruction set of this machine
#     scripts/check-kernels.sh NAME    the tests whose names hold NAME
#
# The sanitizer is unstable in rustc, which RUSTC_BOOTSTRAP lets the stable compiler do. It wants every crate built for it,
# so the build has a folder of its own; with a target given, procedural macros are built without it.
set -eu
cd "$(dirname "$0")/.."
host=$(rustc -vV | sed -n 's/^host: //p')
export RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR=target/sanitized
exec cargo test --locked -p looped-ops --target "$host" --test kernels -- "$@"
