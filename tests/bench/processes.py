"""The processes that are measured, and what they cost as the kernel counts it."""

import atexit
import os
import re
import shutil
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
EXPORTER = TARGET / "clumio-exporter"
PARTS = TARGET / "examples" / "bench-parts"
FOLDER = Path(tempfile.mkdtemp(prefix="clumio-bench-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)

CORES = sorted(os.sched_getaffinity(0))
# Ten million rows on a slow machine.
PATIENCE = 1800
TICKS = os.sysconf("SC_CLK_TCK")
VALGRIND = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null")
# Nothing is counted before it is asked for.
CALLGRIND = (*VALGRIND, "--instr-atstart=no")
# Never through a proxy: everything is on this machine.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Process:
    """A process that ends with the `with` block."""

    started = 0

    def __init__(self, *command):
        Process.started += 1
        self.log = FOLDER / f"{Process.started}.log"
        with self.log.open("w") as log:
            environment = {**os.environ, "BENCH_TOKEN": "demo-token"}
            self.process = subprocess.Popen(
                [str(word) for word in command], stdout=log, stderr=log, env=environment
            )
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def keep_to(self, cores):
        """Runs all threads that it has, and those that they will start, on these cores."""
        for thread in os.listdir(f"/proc/{self.pid}/task"):
            os.sched_setaffinity(int(thread), cores)

    def said(self, pattern):
        """What the pattern's group matched in the log, once it does."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self.process.poll() is None:
            if found := re.search(pattern, self.log.read_text()):
                return found[1]
            time.sleep(0.05)
        raise RuntimeError(f"{self.process.args} did not say {pattern}:\n{self.log.read_text()[-2000:]}")

    def kib(self, field):
        """A field of /proc/PID/status in KiB: `VmRSS`, what is resident now, or `VmHWM`, the most that ever was."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(rf"^{field}:\s+(\d+)", status, re.M)[1])

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


class Exporter(Process):
    """The daemon with these lines of configuration; the token is in BENCH_TOKEN."""

    def __init__(self, config, under=()):
        path = FOLDER / f"config-{Process.started}.toml"
        path.write_text(f'web.listen_address = "127.0.0.1:0"\n{config}')
        super().__init__(*under, EXPORTER, "--config.file", path)
        self.address = self.said(r"address=\"?(127\.0\.0\.1:\d+)")
        self.url = f"http://{self.address}/metrics"

    def page(self, gzip=False):
        headers = {"Accept-Encoding": "gzip"} if gzip else {}
        with OPENER.open(urllib.request.Request(self.url, headers=headers), timeout=60) as answer:
            return answer.read()

    def total(self, family):
        """The sum of a family's samples."""
        samples = re.findall(rf"^{family}(?:{{.*}})? (\S+)$", self.page().decode(), re.M)
        return sum(float(sample) for sample in samples)

    def wait(self, family, least):
        end = time.monotonic() + PATIENCE
        while self.total(family) < least:
            if time.monotonic() > end:
                raise RuntimeError(f"{family} does not reach {least}:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.5)


class Server(Process):
    """A process of ours that says on which address it serves."""

    def __init__(self, *command):
        super().__init__(*command)
        self.address = self.said(r"(127\.0\.0\.1:\d+)")
        self.url = f"http://{self.address}/metrics"


def simulator(*arguments, port=0):
    """The simulated API, whose bodies are not compressed: what gunzip costs is not what is measured."""
    return Server(EXPORTER, "simulate", "--listen-address", f"127.0.0.1:{port}", "--plain", *arguments)


def account(api, name="bench", keys=""):
    return f'[[accounts]]\nname = "{name}"\nbase_url = "{api}"\ntoken_env = "BENCH_TOKEN"\n{keys}'


def instructions(*command):
    """How many instructions a command takes."""
    done = subprocess.run(
        [*VALGRIND, *(str(word) for word in command)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "BENCH_TOKEN": "demo-token"},
    )
    return collected(done.stderr), done.stdout


def collected(log):
    return int(re.search(r"Collected : (\d+)", log)[1])
