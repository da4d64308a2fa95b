"""Runs the figures that are asked for, prints each, and writes its rows into the table."""

import argparse
import json
import platform
import sys
from pathlib import Path

import accounts
import assets
import history
import program
import replica
import rows
import scrape

HERE = Path(__file__).resolve().parent
BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->\n"

FIGURES = {
    "scrape": scrape.scrape,
    "render": scrape.render,
    "row": rows.row,
    "initial_sync": rows.initial_sync,
    "history": history.history,
    "window": replica.window,
    "ready": replica.ready,
    "assets": assets.assets,
    "one_account": accounts.one_account,
    "many_accounts": accounts.many_accounts,
    "size": program.size,
    "start": program.start,
}
# What is the same on every run.
CHECKED = ("render", "row", "size")


def main():
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=__doc__)
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=", ".join(FIGURES))
    parser.add_argument("--quick", action="store_true", help="fewer rows and shorter times; the table stays as it is")
    parser.add_argument("--check", action="store_true", help="only what is the same on every run, against its bounds")
    asked = parser.parse_args()
    names = CHECKED if asked.check else asked.figures or list(FIGURES)
    if unknown := [name for name in names if name not in FIGURES]:
        parser.error(f"no such figure: {', '.join(unknown)}; there are {', '.join(FIGURES)}")
    measured = {}
    for name in names:
        measured[name] = FIGURES[name](10 if asked.quick else 1)
        for figure in measured[name]:
            print(f"{name}: {figure.goal}: {figure.figure}: {verdict(figure)}", flush=True)
    if asked.check:
        sys.exit(check([figure for figures in measured.values() for figure in figures]))
    if not asked.quick:
        write(measured)


def verdict(figure):
    return {True: "met", False: "**not met**", None: ""}[figure.met]


def check(lines):
    """0 if every figure is within its bound; a bound without a figure is a mistake as well."""
    bounds = json.loads((HERE / "bounds.json").read_text())
    values = {figure.name: figure.value for figure in lines if figure.name}
    wrong = [name for name in bounds if values.get(name, float("inf")) > bounds[name]]
    for name in wrong:
        print(f"tests/bench/run: {name} is {values.get(name)}, above its bound of {bounds[name]}", file=sys.stderr)
    return 1 if wrong else 0


def write(measured):
    """Writes the rows of what was measured into the table, in place of those that it has of it."""
    readme = HERE / "README.md"
    before, _, rest = readme.read_text().partition(BEGIN)
    table, _, after = rest.partition(END)
    rows = {name: [row for row in table.splitlines() if row.startswith(f"| `{name}` ")] for name in FIGURES}
    for name, figures in measured.items():
        rows[name] = [f"| `{name}` | {it.goal} | {it.figure} | {verdict(it)} |" for it in figures]
    lines = ["| name | goal | figure | |", "|---|---|---|---|", *(row for name in FIGURES for row in rows[name])]
    readme.write_text(before + BEGIN + "".join(f"{line}\n" for line in lines) + END + after)
    print(f"tests/bench/run: wrote {readme} on {platform.machine()}")


main()
