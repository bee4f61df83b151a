"""Counters, gauges and histograms as plain values, and their text for whoever scrapes them (OpenMetrics 1.0).

A cell is looked up once and then is an attribute to add to: counting costs what an addition costs. Label values come
from fixed sets, never from what a stranger sent: they would fill the memory of this process and of the monitoring.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Counter:
    """A number that only grows; `value` is there to be added to."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


class Histogram:
    """How many observations fell below each bound, and their sum."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        """Take the upper bounds of the buckets, ascending; a last one without bound is added."""
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Count an observation, or several that are alike."""
        self._counts[bisect_left(self._bounds, value)] += times
        self._sum += value * times

    def samples(self, name: str, labels: str) -> Iterator[str]:
        """Yield the lines of this histogram."""
        below = 0
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self._counts, strict=True):
            below += count
            at_most = f'le="{bound}"'
            yield f"{name}_bucket{_braces(labels, at_most)} {below}"
        yield f"{name}_count{_braces(labels)} {below}"
        yield f"{name}_sum{_braces(labels)} {self._sum}"


class Registry:
    """The metrics of one program, in the order they were made."""

    def __init__(self) -> None:
        self._families: list[Callable[[], Iterator[str]]] = []

    def counter(self, name: str, explanation: str, **labels: Sequence[str]) -> dict[tuple[str, ...], Counter]:
        """Return a counter for each combination of label values.

        Args:
            name: Without the suffix `_total`.
            explanation: One sentence.
            labels: Every label with all values it can have; without labels the one key is `()`.
        """
        cells = {values: Counter() for values in _combinations(labels)}

        def lines() -> Iterator[str]:
            yield from _head(name, "counter", explanation)
            for values, cell in cells.items():
                yield f"{name}_total{_braces(_pairs(labels, values))} {cell.value}"

        self._families.append(lines)
        return cells

    def gauge(self, name: str, explanation: str, read: Callable[[], float]) -> None:
        """Add a number that is read when somebody asks."""

        def lines() -> Iterator[str]:
            yield from _head(name, "gauge", explanation)
            yield f"{name} {read()}"

        self._families.append(lines)

    def histogram(
        self, name: str, explanation: str, bounds: Sequence[float], **labels: Sequence[str]
    ) -> dict[tuple[str, ...], Histogram]:
        """Return a histogram for each combination of label values, as `counter` does."""
        cells = {values: Histogram(bounds) for values in _combinations(labels)}

        def lines() -> Iterator[str]:
            yield from _head(name, "histogram", explanation)
            for values, cell in cells.items():
                yield from cell.samples(name, _pairs(labels, values))

        self._families.append(lines)
        return cells

    def openmetrics(self) -> str:
        """Return everything as OpenMetrics text."""
        return "\n".join([*(line for lines in self._families for line in lines()), "# EOF", ""])


def _combinations(labels: Mapping[str, Sequence[str]]) -> list[tuple[str, ...]]:
    combinations: list[tuple[str, ...]] = [()]
    for values in labels.values():
        combinations = [(*combination, value) for combination in combinations for value in values]
    return combinations


def _head(name: str, kind: str, explanation: str) -> tuple[str, str]:
    return f"# TYPE {name} {kind}", f"# HELP {name} {explanation}"


def _pairs(labels: Mapping[str, Sequence[str]], values: Sequence[str]) -> str:
    return ",".join(f'{label}="{value}"' for label, value in zip(labels, values, strict=True))


def _braces(*pairs: str) -> str:
    inner = ",".join(pair for pair in pairs if pair)
    return f"{{{inner}}}" if inner else ""
