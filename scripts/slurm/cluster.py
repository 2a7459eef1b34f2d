"""A real Slurm on this machine, for tests: munged, slurmctld, and a slurmd for each of two nodes.

Needs Debian's slurmctld, slurmd, slurm-client and munge, and root.
"""

import os
import random
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

CONFIG = """
ClusterName=test
SlurmctldHost=localhost
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CryptoType=crypto/munge
SlurmctldPort={port}
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool/%n
SlurmctldPidFile={root}/run/slurmctld.pid
SlurmdPidFile={root}/run/slurmd.%n.pid
SlurmctldLogFile={root}/log/slurmctld.log
SlurmdLogFile={root}/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
JobRequeue=1
KillWait=30
NodeName={nodes} NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports} CPUs=2 RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes={nodes} Default=YES MaxTime=INFINITE State=UP
"""


def say(*words):
    print(time.strftime("%H:%M:%S"), *words, flush=True)


def until(what, seconds, condition):
    """Waits until a condition holds; the end of the program if it doesn't in time."""
    end = time.time() + seconds
    while time.time() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.2)
    raise SystemExit(f"waited {seconds} s in vain: {what}")


class Cluster:
    """Two nodes, n1 and n2, in the partition main."""

    def __init__(self):
        self.root = Path(tempfile.mkdtemp(prefix="slurm-"))
        for folder in ["state", "spool/n1", "spool/n2", "run", "log"]:
            (self.root / folder).mkdir(parents=True)
        self.config = self.root / "slurm.conf"
        # Of one cluster's own: another may be there.
        port = random.randrange(20000, 30000)
        self.config.write_text(CONFIG.format(root=self.root, nodes="n[1-2]", port=port, ports=f"[{port + 1}-{port + 2}]"))
        os.environ["SLURM_CONF"] = str(self.config)
        self.processes = {}

    def start(self):
        if subprocess.run(["munge", "-n"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
            Path("/run/munge").mkdir(exist_ok=True)
            shutil.chown("/run/munge", "munge")
            subprocess.run(["su", "-s", "/bin/bash", "munge", "-c", "munged --force"], check=True)
        self.controller()
        for node in ["n1", "n2"]:
            self.node(node)
        until("both nodes are idle", 60, lambda: self.ask("sinfo", "-h", "-o", "%T %D") == "idle 2")
        say("Slurm is up:", self.ask("sinfo", "--version"))

    def controller(self):
        self.processes["slurmctld"] = subprocess.Popen(["slurmctld", "-D", "-f", self.config], stderr=subprocess.DEVNULL)
        until("the controller answers", 60, lambda: subprocess.run(["scontrol", "ping"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0)

    def node(self, name):
        command = ["slurmd", "-D", "-N", name, "-f", self.config]
        self.processes[name] = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def stop(self, name):
        process = self.processes.pop(name)
        process.terminate()
        process.wait()

    def end(self):
        for name in list(self.processes):
            self.stop(name)
        shutil.rmtree(self.root, ignore_errors=True)

    @staticmethod
    def ask(*words):
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
