#!/usr/bin/env bash
# Builds what runs on a GPU's machine, on one that has neither CUDA nor a GPU: `looped`, the tests of the CUDA engine, and the
# example that times a step. They go to FOLDER, and as FOLDER.tar.xz (15 MB).
#
#   scripts/gpu/pack.sh [FOLDER]                 target/gpu-programs
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=${1:-target/gpu-programs}
mkdir -p "$folder"
built() { python3 -c '
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("executable") and message["target"]["name"] == sys.argv[1]:
        print(message["executable"])' "$1"; }
cp "$(cargo build --locked -p cli --message-format=json | built looped)" "$folder/"
cp "$(cargo build --locked -p looped-cuda --example cuda_step --message-format=json | built cuda_step)" "$folder/"
cp "$(cargo test --no-run --locked -p looped-cuda --test agreement --message-format=json | built agreement)" "$folder/agreement"
for test in on_gpu parity; do
  cp "$(cargo test --no-run --locked -p looped-train --test $test --message-format=json | built $test)" "$folder/$test"
done
rm -f "$folder/source"
strip "$folder"/*
# Where the tests look for their fixtures.
pwd >"$folder/source"
tar -C "$folder" -cf - . | xz -T0 -3 >"${folder%/}.tar.xz"
ls -l "$folder" "${folder%/}.tar.xz"
