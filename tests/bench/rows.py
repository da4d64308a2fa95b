"""What a row costs: reading it, a whole poll, and an initial sync."""

import os
import re
import subprocess
from statistics import median

from figures import Figure, most
from processes import EXPORTER, FOLDER, OPENER, PARTS, account, instructions, simulator
from urllib.request import Request

# Rows of a page.
ROWS = 100
# A world whose assets have a task each day, so that all but a few of them are in the shorter lookback as well: their
# summaries are not what a row costs.
WORLD = ("--tasks-per-day", 2_000, "--history-days", 8)


def row(scale):
    """Instructions for a row, which are the same on every run."""
    with simulator(*WORLD) as api:
        url = f"http://{api.address}"
        page = page_of(url)
        deserialize = per_row("deserialize", page)
        read = per_row("read", page)
        poll = polled(url)
    goal = "CPU for a row, at most twice that of `serde_json` into the same wire type: "
    beside = f"of {deserialize:,.0f} instructions"
    return [
        most(
            goal + "reading it, until it is a task",
            read / deserialize,
            2.0,
            f"{read / deserialize:.2f} times ({read:,.0f} {beside})",
            name="row_read_ratio",
        ),
        most(
            goal + "all of a poll, with HTTP, the listing and the store",
            poll / deserialize,
            2.0,
            f"{poll / deserialize:.2f} times ({poll:,.0f} {beside})",
            name="row_poll_ratio",
        ),
    ]


def page_of(url):
    """The file of a page of the simulated API."""
    page = FOLDER / "page.json"
    asked = Request(f"{url}/tasks?limit={ROWS}", headers={"Authorization": "Bearer demo-token"})
    page.write_bytes(OPENER.open(asked).read())
    return page


def per_row(part, page):
    few, many = (instructions(PARTS, part, page, times)[0] for times in (20, 60))
    return (many - few) / (40 * ROWS)


def polled(url):
    """What a row adds to an initial sync."""
    costs = []
    for lookback in ("2d", "7d"):
        count, page = instructions(EXPORTER, "once", "--config.file", once_config(url, lookback))
        costs.append((count, read_rows(page)))
    (few, few_rows), (many, many_rows) = costs
    return (many - few) / (many_rows - few_rows)


def once_config(url, lookback):
    path = FOLDER / f"once-{lookback}.toml"
    keys = f'poll.window = "1h"\npoll.lookback = "{lookback}"\npoll.requests_per_second = 0\n'
    path.write_text(keys + account(url))
    return path


def read_rows(page):
    return int(re.search(r"^clumio_exporter_tasks_read_total{.*} (\d+)", page, re.M)[1])


def initial_sync(scale):
    """An initial sync over a million tasks, by the exporter's own CPU time, beside `serde_json` on the same machine."""
    tasks = 1_000_000 // scale
    with simulator("--tasks-per-day", tasks // 7, "--history-days", 8) as api:
        url = f"http://{api.address}"
        config, page = once_config(url, "7d"), page_of(url)
        runs, deserialized = zip(*((timed(config), deserialized_rate(page)) for _ in range(1 if scale > 1 else 5)))
    rate, beside = median(rows / cpu for rows, cpu, _ in runs), median(deserialized)
    rows, wall = runs[0][0], median(wall for *_, wall in runs)
    text = f"{beside / rate:.1f} times ({rate:,.0f} rows for a CPU second, and {beside:,.0f})"
    goal = "CPU of an initial sync, at most nine times that of `serde_json` reading the same rows (no state)"
    return [
        most(goal, beside / rate, 9.0, text),
        Figure("The same by the clock", f"{rows:,} rows in {wall:.1f} s, eight pages in flight", None),
    ]


def timed(config):
    """One initial sync: rows, CPU seconds, wall seconds."""
    page = FOLDER / "once.page"
    with page.open("w") as out:
        cpu, wall = taken([EXPORTER, "once", "--config.file", config], out)
    return read_rows(page.read_text()), cpu, wall


def deserialized_rate(page, times=5_000):
    """Rows that `serde_json` reads into the client's wire type for a CPU second."""
    cpu, _ = taken([PARTS, "deserialize", page, str(times)], subprocess.DEVNULL)
    return times * ROWS / cpu


def taken(command, out):
    """The CPU seconds and the wall seconds of a command."""
    environment = {**os.environ, "BENCH_TOKEN": "demo-token"}
    begin = os.times()
    subprocess.run(command, check=True, stdout=out, stderr=subprocess.DEVNULL, env=environment)
    end = os.times()
    cpu = end.children_user + end.children_system - begin.children_user - begin.children_system
    return cpu, end.elapsed - begin.elapsed
