"""What may depend on how many rows the replica has: a poll, and the start of a process."""

import socket
from contextlib import closing
from statistics import median

from figures import Figure, most
from history import free_port
from processes import FOLDER, Exporter, account, simulator
from program import started

READ = "clumio_exporter_tasks_read_total"

# By then every counter has moved that was held, and each of so many costs the same.
BEFORE, POLLS = 5, 20
STARTS = 9


def window(scale):
    """CPU of a poll, over windows with many tasks and the state on disk."""
    return [
        most(
            "CPU of a poll with 100,000 tasks in the window: at most 50 ms (state on disk)",
            *polled(100_000 // scale, 1, 0.05),
        ),
        most(
            "CPU of a poll with three million tasks in a window of 30 days: at most 500 ms (state on disk)",
            *polled(3_000_000 // scale, 30, 0.5),
        ),
    ]


def polled(tasks, days, limit):
    """The seconds of a poll, their limit, and what they were measured over. A poll also reads what is open and what is new."""
    with simulator("--tasks-per-day", tasks // days, "--history-days", days + 1) as api:
        url = f"http://{api.address}"
        keys = f'poll.window = "{days}d"\npoll.lookback = "{days}d"\npoll.interval = "2s"\n'
        with Exporter(config(url, f"window-{days}", keys)) as it:
            it.wait("clumio_exporter_polls_total", BEFORE)
            begin, cpu, read = it.total("clumio_exporter_polls_total"), it.cpu_seconds(), it.total(READ)
            it.wait("clumio_exporter_polls_total", BEFORE + POLLS)
            polls = it.total("clumio_exporter_polls_total") - begin
            each = (it.cpu_seconds() - cpu) / polls
            rows = (it.total(READ) - read) / polls
            count = it.total("clumio_tasks")
    return each, limit, f"{each * 1000:.0f} ms over {count:,.0f} tasks; {rows:,.0f} rows are open or new"


def config(url, name, keys):
    return (
        f'state.directory = "{FOLDER / name}"\npoll.requests_per_second = 0\npoll.audit_interval = "0s"\n'
        + keys
        + account(url)
    )


def ready(scale):
    """How soon a process answers over a database of a million rows."""
    rows, days = 1_000_000 // scale, 30
    port = free_port()
    keys = config(f"http://127.0.0.1:{port}", "ready", f'poll.lookback = "{days}d"\n')
    with simulator("--tasks-per-day", rows // days, "--history-days", days + 1, port=port):
        with Exporter(keys) as it:
            it.wait("clumio_up", 1)
            count = it.total("clumio_exporter_replica_tasks")
    # It takes connections and never answers.
    with closing(socket.create_server(("127.0.0.1", port), backlog=64)):
        took = median(started(keys, "/-/ready") for _ in range(STARTS))
        numbers = median(started(keys, "/metrics", b"\nclumio_tasks{") for _ in range(STARTS))
    return [
        most(
            "From start to `/-/ready` over a database of a million rows at most 200 ms",
            took,
            0.2,
            f"{took * 1000:.0f} ms over {count:,.0f} rows",
        ),
        Figure("The same to a `/metrics` with the numbers of the process before", f"{numbers * 1000:.0f} ms", None),
    ]
