"""What a scrape of 2,000 series costs, beside the same server with fixed bytes, and beside Pushgateway."""

import csv
import io
import re
import subprocess
import time
import urllib.request
from contextlib import contextmanager

from figures import Figure, least, most, ratio
from processes import CALLGRIND, CORES, FOLDER, OPENER, PARTS, Exporter, Process, Server, account, collected

# So many kinds, each with its six statuses and more, make 2,000 series.
KINDS = 155
# How many pages are rendered to count instructions.
RENDERED = 8
GZIP = ("Accept-Encoding: gzip",)


@contextmanager
def exporter(keys=""):
    """An exporter that follows one account with 2,000 series."""
    with Server(PARTS, "world", KINDS) as api:
        with Exporter(f"poll.requests_per_second = 0\n{keys}" + account(f"http://{api.address}")) as it:
            it.wait("clumio_up", 1)
            yield it


def series(page):
    return sum(not line.startswith(b"#") for line in page.splitlines())


def scrape(scale):
    pairs, seconds = (3, 2) if scale > 1 else (9, 5)
    with exporter() as ours:
        plain, gzip = FOLDER / "plain", FOLDER / "gzip"
        plain.write_bytes(ours.page())
        gzip.write_bytes(ours.page(gzip=True))
        with Server(PARTS, "fixed", plain, gzip) as fixed:
            figures = beside_fixed(ours, fixed, pairs, seconds)
        with pushgateway(plain.read_bytes()) as theirs:
            times = ratio(pairs, lambda: throughput(ours, seconds), lambda: throughput(theirs, seconds))
    text = f"{times:.0f} times"
    count = series(plain.read_bytes())
    figures.append(least(f"A scrape of {count} series: at least ten times the throughput of Pushgateway", times, 10, text))
    return figures


def render(_scale):
    """Instructions for a scrape that renders, under callgrind and so about the same on every run."""
    with Server(PARTS, "world", KINDS) as api:
        keys = "poll.requests_per_second = 0\n" + account(f"http://{api.address}")
        each = rendering(keys, lambda it: it.wait("clumio_up", 1))
    goal = "Instructions for a scrape of 2,000 series that renders"
    return [Figure(goal, f"{each:,.0f}", None, name="render_instructions", value=each)]


def rendering(keys, wait):
    """Instructions for a scrape that renders, of an exporter with these lines of configuration once `wait` returns."""
    with Exporter(keys, under=CALLGRIND) as it:
        wait(it)
        # The first one has all that is rendered once for a poll.
        it.page(gzip=True)
        counting(it, "on")
        for _ in range(RENDERED):
            it.page()
            time.sleep(1.1)
        counting(it, "off")
    return collected(it.log.read_text()) / RENDERED


def counting(exporter, state):
    command = ["callgrind_control", f"--instr={state}", str(exporter.pid)]
    subprocess.run(command, check=True, capture_output=True)


def beside_fixed(ours, fixed, pairs, seconds):
    count = series(ours.page())
    figures = []
    for form, headers in (("plain", ()), ("gzip", GZIP)):
        share = ratio(
            pairs,
            lambda headers=headers: throughput(ours, seconds, headers),
            lambda headers=headers: throughput(fixed, seconds, headers),
        )
        goal = f"A scrape of {count} series, {form}: at least 90 % of the throughput of fixed bytes"
        figures.append(least(goal, share, 0.9, f"{share:.0%}"))
        times = ratio(
            pairs, lambda form=form: latency(ours, form, seconds), lambda form=form: latency(fixed, form, seconds)
        )
        goal = f"A scrape of {count} series, {form}: at most 1.5 times its 99th percentile latency at 50 a second"
        figures.append(most(goal, times, 1.5, f"{times:.2f} times"))
    return figures


def throughput(server, seconds, headers=()):
    """Answers a second on four connections. Where a thread runs would decide more than what is compared, so the server has
    one core and the client another."""
    server.keep_to(CORES[-1:])
    flags = [flag for header in headers for flag in ("--header", header)]
    done = subprocess.run(
        ["taskset", "--cpu-list", str(CORES[0])]
        + ["wrk", "--threads", "1", "--connections", "4", "--duration", f"{seconds}s", *flags, server.url],
        check=True,
        capture_output=True,
        text=True,
    )
    if "Non-2xx" in done.stdout:
        raise RuntimeError(done.stdout)
    return float(re.search(r"Requests/sec:\s+(\S+)", done.stdout)[1])


def latency(server, form, seconds):
    """The 99th percentile in seconds, of at least 500 answers at 50 a second; the cores are idle in between."""
    server.keep_to(CORES)
    flags = ["-disable-compression"] if form == "plain" else []
    command = ["hey", "-o", "csv", "-c", "1", "-q", "50", "-z", f"{max(10, 2 * seconds)}s", *flags, server.url]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    # The first one of a connection is about that.
    took = [float(line["response-time"]) for line in csv.DictReader(io.StringIO(done.stdout))][1:]
    return sorted(took)[int(len(took) * 0.99)]


@contextmanager
def pushgateway(page):
    """Debian's Pushgateway with the families of the exporter; it has process_* of its own."""
    families = b"".join(line + b"\n" for line in page.splitlines() if b"clumio" in line)
    address = "127.0.0.1:19391"
    with Process("prometheus-pushgateway", f"--web.listen-address={address}") as it:
        it.url = f"http://{address}/metrics"
        push = urllib.request.Request(f"http://{address}/metrics/job/bench", data=families, method="PUT")
        for attempt in range(100):
            try:
                OPENER.open(push).read()
                break
            except urllib.error.URLError:
                if attempt == 99:
                    raise
                time.sleep(0.1)
        yield it
