"""That neither memory nor a scrape depends on how many rows were read: one world, read for hours and for half a year."""

import socket
import time
from contextlib import closing

from figures import Figure, most
from processes import FOLDER, Exporter, account, simulator
from rows import deserialized_rate, page_of
from scrape import rendering

FEW = 100_000
DAYS = 180
# Two seconds each: idle connections stay open for 90.
POLLS = 50


def history(scale):
    """Memory and scrapes after 100,000 rows and after ten million, with the state on disk.

    Few kinds have series of their own, so that all are seen in hours and the page is the same.
    """
    rows = 10_000_000 // scale
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    few_hours = max(2, round(FEW * DAYS * 24 / rows))
    with simulator("--tasks-per-day", rows // DAYS, "--history-days", DAYS, port=port):
        few = followed(url, "few", f"{few_hours}h")
        many = followed(url, "many", f"{DAYS}d")
        beside = deserialized_rate(page_of(url))
        # These read what they are from the state, and no history.
        few_again = followed(url, "few", f"{few_hours}h")
        many_again = followed(url, "many", f"{DAYS}d")
    with closing(socket.create_server(("127.0.0.1", port), backlog=64)):
        few_scrape, many_scrape = (scraped(url, name, "1h") for name in ("few", "many"))
        polling = scraped(url, "many", "2s")
    return [*memory(few, many, few_again, many_again), synced(many, beside), *scrapes(few_scrape, many_scrape, polling)]


def free_port():
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return server.getsockname()[1]


def config(url, name, lookback, interval):
    state = FOLDER / f"state-{name}"
    return f"""
state.directory = "{state}"
state.retention = "{lookback}"
poll.requests_per_second = 0
poll.audit_interval = "0s"
poll.window = "1h"
limits.max_kinds = 10
poll.lookback = "{lookback}"
poll.interval = "{interval}"
{account(url)}"""


def followed(url, name, lookback):
    """What is resident when all is read and the connections are closed that were only needed for that, the most that ever
    was, and what was read: all of the history, or none where there is a state."""
    with Exporter(config(url, name, lookback, "2s")) as exporter:
        exporter.wait("clumio_up", 1)
        cpu, rows = exporter.cpu_seconds(), exporter.total("clumio_exporter_tasks_read_total")
        exporter.wait("clumio_exporter_polls_total", POLLS)
        return {"steady": exporter.kib("VmRSS"), "peak": exporter.kib("VmHWM"), "rows": rows, "cpu": cpu}


def scraped(url, name, interval):
    """Instructions for a scrape that renders, over the state that the initial sync left.

    The API takes connections and never answers: with a short interval a poll is under way all the time.
    """
    # By then the first poll has begun, if one does.
    return rendering(config(url, name, f"{DAYS}d", interval), lambda _: time.sleep(6))


def memory(few, many, few_again, many_again):
    grown, grown_again = ((b["steady"] - a["steady"]) / 1024 for a, b in ((few, many), (few_again, many_again)))
    above = (many["peak"] - many["steady"]) / 1024
    read = f"{many['rows']:,.0f} rows"
    return [
        most(
            "Resident after ten million rows within 1 MiB of after 100,000 (state on disk)",
            grown,
            1.0,
            f"{grown:+.1f} MiB ({few['steady'] / 1024:.1f} after {few['rows']:,.0f} rows, {many['steady'] / 1024:.1f} after {read})",
        ),
        Figure(
            "The same of processes that were restarted from their state",
            f"{grown_again:+.1f} MiB ({few_again['steady'] / 1024:.1f} and {many_again['steady'] / 1024:.1f})",
            None,
        ),
        most(
            "The peak of an initial sync within 8 MiB of steady (state on disk)",
            above,
            8.0,
            f"{above:+.1f} MiB ({many['peak'] / 1024:.1f} MiB, over {read})",
        ),
    ]


def synced(many, beside):
    rate = many["rows"] / many["cpu"]
    goal = "CPU of an initial sync with the state on disk, beside `serde_json` reading the same rows"
    return Figure(goal, f"{beside / rate:.1f} times ({rate:,.0f} rows for a CPU second, and {beside:,.0f})", None)


def scrapes(few, many, polling):
    rows, poll = abs(many / few - 1), abs(polling / many - 1)
    goal = "Instructions for a scrape that renders the same within 5 %: "
    return [
        most(goal + "after 100,000 rows and after ten million", rows, 0.05, f"{many / few - 1:+.1%}"),
        most(goal + "at rest and while a poll runs", poll, 0.05, f"{polling / many - 1:+.1%}"),
    ]
