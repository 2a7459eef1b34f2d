"""A real Slurm on this machine, for tests: munged, slurmctld, and a slurmd for each of two nodes; with slurmdbd and a MariaDB where accounting is
asked for.

Needs Debian's slurmctld, slurmd, slurm-client and munge, for accounting also slurmdbd and mariadb-server, and root.
"""

import os
import random
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

# What goes back into the queue waits there for as long as `cred_expire`: half a minute here, two where nothing is said.
CONFIG = """
ClusterName=test
SlurmctldHost=localhost
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=cred_expire=30
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
MpiDefault=none
ReturnToService=2
JobRequeue=1
{more}
NodeName={nodes} NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports} CPUs=2 RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes={nodes} Default=YES MaxTime=INFINITE State=UP
"""

PLAIN = """
SelectTypeParameters=CR_Core
KillWait=30
"""

# A job that takes more memory than it may is killed, within about a second. One that is over is soon only in the accounting.
ACCOUNTING = """
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=1000
KillWait=5
MinJobAge=2
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort={dbd}
"""

DBD = """
AuthType=auth/munge
DbdHost=localhost
DbdPort={dbd}
SlurmUser=root
PidFile={root}/run/slurmdbd.pid
LogFile={root}/log/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
"""


def say(*words, sep=" "):
    print(time.strftime("%H:%M:%S"), *words, sep=sep, flush=True)


def until(what, seconds, condition):
    """Waits until a condition holds; the end of the program if it doesn't in time."""
    end = time.time() + seconds
    while time.time() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.2)
    raise SystemExit(f"waited {seconds} s in vain: {what}")


def answers(*words):
    return subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


class Cluster:
    """Two nodes, n1 and n2, in the partition main."""

    def __init__(self, accounting=False):
        self.accounting = accounting
        self.root = Path(tempfile.mkdtemp(prefix="slurm-"))
        for folder in ["state", "spool/n1", "spool/n2", "run", "log"]:
            (self.root / folder).mkdir(parents=True)
        self.config = self.root / "slurm.conf"
        # Of one cluster's own: another may be there.
        port = random.randrange(20000, 30000)
        own = {"root": self.root, "port": port, "ports": f"[{port + 1}-{port + 2}]", "dbd": port + 3}
        more = (ACCOUNTING if accounting else PLAIN).format(**own)
        self.config.write_text(CONFIG.format(nodes="n[1-2]", more=more, **own))
        if accounting:
            # It is read beside slurm.conf, and only if nobody else may.
            (self.root / "slurmdbd.conf").touch(0o600)
            (self.root / "slurmdbd.conf").write_text(DBD.format(**own))
        os.environ["SLURM_CONF"] = str(self.config)
        self.processes = {}

    def start(self):
        if not answers("munge", "-n"):
            Path("/run/munge").mkdir(exist_ok=True)
            shutil.chown("/run/munge", "munge")
            subprocess.run(["su", "-s", "/bin/bash", "munge", "-c", "munged --force"], check=True)
        if self.accounting:
            self.database()
            self.accounts()
            self.ask("sacctmgr", "-i", "add", "cluster", "test")
        self.controller()
        for node in ["n1", "n2"]:
            self.node(node)
        until("both nodes are idle", 60, lambda: self.ask("sinfo", "-h", "-o", "%T %D") == "idle 2")
        say("Slurm is up:", self.ask("sinfo", "--version"))

    def database(self):
        """A MariaDB that only root of this machine reaches, by a socket."""
        data, socket = self.root / "data", self.root / "run/sql"
        log = (self.root / "log/mariadb.log").open("w")
        common = ["--no-defaults", "--user=root", f"--datadir={data}"]
        subprocess.run(["mariadb-install-db", *common, "--auth-root-authentication-method=socket", "--skip-test-db"], stdout=log, stderr=log, check=True)
        command = ["mariadbd", *common, f"--socket={socket}", "--skip-networking"]
        self.processes["mariadb"] = subprocess.Popen(command, stdout=log, stderr=log)
        until("the database answers", 60, lambda: answers("mariadb-admin", "--no-defaults", f"--socket={socket}", "ping"))
        # Where slurmdbd looks for it.
        os.environ["MYSQL_UNIX_PORT"] = str(socket)

    def accounts(self):
        self.processes["slurmdbd"] = subprocess.Popen(["slurmdbd", "-D"], stderr=subprocess.DEVNULL)
        until("the accounting answers", 60, lambda: answers("sacctmgr", "-n", "show", "cluster"))

    def controller(self):
        self.processes["slurmctld"] = subprocess.Popen(["slurmctld", "-D", "-f", self.config], stderr=subprocess.DEVNULL)
        until("the controller answers", 60, lambda: answers("scontrol", "ping"))

    def node(self, name):
        command = ["slurmd", "-D", "-N", name, "-f", self.config]
        self.processes[name] = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def stop(self, name):
        process = self.processes.pop(name)
        process.terminate()
        process.wait()

    def end(self):
        try:
            # What a node runs outlives its daemon.
            if "slurmctld" in self.processes and answers("scancel", "--user=root"):
                until("what was in work ends", 60, lambda: not self.ask("squeue", "-h"))
        finally:
            # What was started last goes first: nobody is left without what it writes to.
            for name in reversed(list(self.processes)):
                self.stop(name)
            shutil.rmtree(self.root, ignore_errors=True)

    @staticmethod
    def ask(*words):
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
