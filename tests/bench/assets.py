"""What assets cost beside the tasks that protect them."""

from figures import least, most
from processes import FOLDER, PARTS, Exporter, Server, account

READ = "clumio_exporter_tasks_read_total"
FINISHED = "clumio_exporter_polls_total"

# By then every counter has moved that was held.
BEFORE, POLLS = 5, 20


def assets(scale):
    """One account, followed by two exporters with the state on disk: one knows assets, and for the other no task is about one.

    In each poll, 200 assets complete a backup.
    """
    number = 200_000 // scale
    with Server(PARTS, "assets", number) as api:
        base = f"http://{api.address}"
        with Exporter(config(base, "backup")) as ours, Exporter(config(base, "none")) as tasks_alone:
            sync = synced(ours)
            synced(tasks_alone)
            cpu, cpu_of_tasks = polled(ours, tasks_alone)
            memory = (ours.kib("VmRSS") - tasks_alone.kib("VmRSS")) / 1024
            count = ours.total("clumio_assets")
    return [
        sync,
        most(
            "CPU of a poll for 200,000 assets, 200 of which changed: at most 100 ms (state on disk)",
            cpu - cpu_of_tasks,
            0.1,
            f"{(cpu - cpu_of_tasks) * 1000:.0f} ms for {count:,.0f} assets, beside {cpu_of_tasks * 1000:.0f} ms for tasks",
        ),
        most("Memory of 200,000 assets: at most 2 MiB (state on disk)", memory, 2.0, f"{memory:+.1f} MiB"),
    ]


def config(base, category):
    # A new task is 2 minutes old.
    return f"""
state.directory = "{FOLDER / category}"
poll.interval = "10s"
poll.overlap = "3m"
poll.lookback = "6d"
poll.requests_per_second = 0
poll.audit_interval = "0s"
assets.categories = ["{category}"]
{account(base)}"""


def synced(exporter):
    """The CPU of an initial sync."""
    exporter.wait("clumio_up", 1)
    rows = exporter.total(READ)
    rate = rows / exporter.cpu_seconds()
    goal = "Rows of an initial sync with 200,000 assets for a CPU second: at least 75,000 (state on disk)"
    return least(goal, rate, 75_000, f"{rate:,.0f}, of {rows:,.0f} rows")


def polled(*exporters):
    """The CPU seconds of a poll of each; they run beside each other."""
    for exporter in exporters:
        exporter.wait(FINISHED, BEFORE)
    before = [(exporter.total(FINISHED), exporter.cpu_seconds()) for exporter in exporters]
    exporters[0].wait(FINISHED, before[0][0] + POLLS)
    after = [(exporter.total(FINISHED), exporter.cpu_seconds()) for exporter in exporters]
    return [(cpu - cpu0) / (polls - polls0) for (polls0, cpu0), (polls, cpu) in zip(before, after)]
