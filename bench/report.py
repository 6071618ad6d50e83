"""The lines that benchmarks print: what, how much, against which peer of the same run, and the bar that it has."""

import statistics
from collections.abc import Iterable, Sequence


def line(what: str, measured: str, against: str = "", bar: str = "", met: bool | None = None) -> None:
    """One row of the table. `met` is whether the bar was reached; None if there is none."""
    verdict = {True: "met", False: "MISSED", None: ""}[met]
    print(f"  {what:<46}{measured:>14}  {against:<34}{bar:<22}{verdict}".rstrip(), flush=True)


def heading(text: str) -> None:
    """Above the rows of one kind."""
    print(f"\n{text}", flush=True)


def left_out(what: str, why: str) -> None:
    """Say what was not measured, and why."""
    print(f"  {what}: left out, {why}", flush=True)


def ms(seconds: float) -> str:
    return f"{seconds * 1000:,.1f} ms"


def at(share: float, values: Iterable[float]) -> float:
    """The value below which this share of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def middle(values: Sequence[float]) -> float:
    return statistics.median(values)
