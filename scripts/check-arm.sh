#!/bin/sh
# The kernels' tests on ARM's NEON, emulated: wants qemu-aarch64 and a linker for ARM
# (on Debian: apt-get install qemu-user gcc-aarch64-linux-gnu).
#
#     scripts/check-arm.sh         every kernel
#     scripts/check-arm.sh NAME    the tests whose names hold NAME
set -eu
cd "$(dirname "$0")/.."
rustup target add aarch64-unknown-linux-gnu
export CARGO_TARGET_DIR=target/arm
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu"
exec cargo test --locked -p looped-ops --target aarch64-unknown-linux-gnu --test kernels -- "$@"
