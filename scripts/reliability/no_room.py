#!/usr/bin/env python3
"""A full disk, a read-only one and a folder that vanishes: a clear message, nothing lost, and on again afterwards?

    cargo build -p cli
    scripts/reliability/no_room.py

Works on a small tmpfs in a mount namespace of its own, as root or with unprivileged user namespaces (`unshare` of util-linux;
Linux). The disk is filled up to 0, 1, 2, ... pages, and a run is begun or resumed in what is left, until it fits: so every
file is once the one for which there is no room. Each time the command must end with code 1 and one message that names the
file; the newest good checkpoint must be the one from before, or a newer one; and once there is room, the run must resume to
the same bytes as one that nothing happened to.
"""

import argparse
import collections
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from common import PROGRAM, TINY, contents, differing, looped

DISK = Path("/tmp/looped-small-disk")
PAGE = 4096
OFTEN = ["training.train_steps=60", "training.save_every_steps=5"]
RARELY = ["training.train_steps=400", "training.save_every_steps=400", "training.log_every_steps=1"]


class Campaign:
    def __init__(self, program):
        self.program = program
        self.bad = []
        self.named = collections.Counter()
        self.cases = 0

    def expect(self, good, what, said=""):
        if not good:
            self.bad.append(f"{what}\n{said}")

    def failed_well(self, ran, what, names=()):
        """One message, code 1 (2 where the place was refused), no panic."""
        message = [line for line in ran.stderr.splitlines() if line.startswith("error: ")]
        well = ran.returncode in (1, 2) and len(message) == 1 and "panicked" not in ran.stderr
        self.expect(well and all(name in ran.stderr for name in names), what, ran.stderr)
        return message[0] if message else ""

    def fill(self, pages):
        """Takes all room but so many pages."""
        free = os.statvfs(DISK).f_bavail
        with open(DISK / "filler", "wb") as file:
            file.truncate(0)
            os.posix_fallocate(file.fileno(), 0, max(1, free - pages) * PAGE)

    def full(self, settings, begun):
        """Every amount of room from none to enough, for a run that is begun anew or was `begun`."""
        whole = contents(Path("/tmp/looped-whole") / settings[1])
        pages = 0
        while True:
            run = DISK / "run"
            shutil.rmtree(run, ignore_errors=True)
            if begun:
                shutil.copytree(begun, run)
            self.fill(pages)
            command = ["resume", run] if begun else ["run", DISK / "tiny.toml", *settings, "--out", run]
            ran = looped(self.program, *command)
            (DISK / "filler").unlink()
            what = f"{' '.join(map(str, command[:1] + settings))} in {pages} pages"
            if ran.returncode == 0:
                self.expect(not differing(contents(run), whole), f"{what}: differs")
                return
            self.cases += 1
            message = self.failed_well(ran, what, ["No space left on device"])
            found = re.search(r"([\w.]+/)?([\w.]+): (cannot|No space)", message)
            file = "".join(part or "" for part in found.groups()[:2]) if found else message
            self.named[re.sub(r"\.looped.*|\d{6,}", "", file)] += 1
            again = command if not (run / "config.toml").exists() else ["resume", run]
            ran = looped(self.program, *again)
            self.expect(ran.returncode == 0 and "warning: " not in ran.stderr, f"{what}: resuming", ran.stderr)
            self.expect(not differing(contents(run), whole), f"{what}: differs after it was resumed")
            pages += 1 if pages < 24 else 5

    def read_only(self, begun):
        run = DISK / "run"
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(begun, run)
        subprocess.run(["mount", "-o", "remount,ro", DISK], check=True)
        for words in (["resume", run], ["run", DISK / "tiny.toml", "--out", DISK / "new"]):
            self.cases += 1
            ran = looped(self.program, *words)
            self.failed_well(ran, f"read-only: {words[0]}", ["Read-only file system", str(DISK)])
        subprocess.run(["mount", "-o", "remount,rw", DISK], check=True)
        ran = looped(self.program, "resume", run)
        self.expect(ran.returncode == 0, "read-only: resuming", ran.stderr)
        self.expect(not differing(contents(run), contents(Path("/tmp/looped-whole") / OFTEN[1])), "read-only: differs")

    def vanished(self, moved):
        """The run's folder is removed, or moved away, while it trains."""
        run, away = DISK / "run", DISK / "away"
        for path in (run, away):
            shutil.rmtree(path, ignore_errors=True)
        endless = ["training.train_steps=1000000", "training.save_every_steps=20"]
        process = subprocess.Popen(
            [self.program, "run", DISK / "tiny.toml", *endless, "--out", run],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        while not (run / "checkpoints/last").exists():
            time.sleep(0.01)
        run.rename(away)
        if not moved:
            shutil.rmtree(away)
        what = "moved away" if moved else "vanished"
        self.cases += 1
        try:
            _, said = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            self.expect(False, f"{what}: it trains on for a minute, though its folder is gone")
            return
        ran = subprocess.CompletedProcess([], process.returncode, "", said)
        self.failed_well(ran, what, [str(run), "No such file"])
        self.expect(not run.exists(), f"{what}: a folder was made again")
        if moved:
            ran = looped(self.program, "eval", away, "--prompts", "4")
            self.expect(ran.returncode == 0 and "warning: " not in ran.stderr, f"{what}: its checkpoint", ran.stderr)


def campaign(program):
    DISK.mkdir(exist_ok=True)
    Path("/tmp/looped-whole").mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", DISK], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/tmp/looped-whole"], check=True)
    (DISK / "tiny.toml").write_text(TINY)
    work, done = Campaign(program), Path("/tmp/looped-whole")
    begun_at = time.time()
    for settings in (OFTEN, RARELY):
        looped(program, "run", DISK / "tiny.toml", *settings, "--out", done / settings[1])
    # A run stopped in the middle, to be resumed on a full disk.
    middle = done / "middle"
    process = subprocess.Popen([program, "run", DISK / "tiny.toml", *OFTEN, "--out", middle], stderr=subprocess.DEVNULL)
    while not (middle / "checkpoints/last").exists():
        time.sleep(0.001)
    process.kill()
    process.wait()
    work.full(OFTEN, None)
    work.full(RARELY, None)
    work.full(OFTEN, middle)
    work.read_only(middle)
    work.vanished(moved=False)
    work.vanished(moved=True)
    print(f"{work.cases} cases in {time.time() - begun_at:.0f} s; no room for:")
    for name, count in work.named.most_common():
        print(f"{count:5} {name}")
    print(f"{len(work.bad)} not as they should be")
    for problem in work.bad[:10]:
        print("--", problem)
    return 1 if work.bad else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, default=PROGRAM)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.inside:
        # Mounts of our own, gone with the process.
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        words = ["unshare", "--mount", *user, sys.executable, __file__, "--inside", "--program", options.program.resolve()]
        return subprocess.run(words, check=False).returncode
    return campaign(options.program)


if __name__ == "__main__":
    sys.exit(main())
