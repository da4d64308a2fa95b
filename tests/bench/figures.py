"""What a figure is."""

from dataclasses import dataclass
from statistics import median


@dataclass
class Figure:
    """One line of the table."""

    goal: str
    figure: str
    # None where there is no goal: the figure stands beside another one.
    met: bool | None
    # What CI compares with its bound: only what is the same on every run.
    name: str = ""
    value: float = 0.0


def most(goal, value, limit, text, **more):
    return Figure(goal, text, value <= limit, value=value, **more)


def least(goal, value, limit, text, **more):
    return Figure(goal, text, value >= limit, value=value, **more)


def ratio(pairs, ours, theirs):
    """The median of `ours / theirs`, each pair measured one after the other."""
    return median(ours() / theirs() for _ in range(pairs))
