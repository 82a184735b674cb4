"""Counts of a running scorer as Prometheus reads them. Nothing in them is of a person or an application."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

KIND = "text/plain; version=0.0.4; charset=utf-8"
Labelled = tuple[str, str, tuple[tuple[str, str], ...], int]
"""A type, a name, labels that are names of ours or of the policy's, and a count."""
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """What was asked and how long it took, by path and status; and gauges that are read when they are asked for."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, int]] = Counter()
        self._problems: Counter[str] = Counter()
        self._buckets = [0] * (len(_SECONDS) + 1)
        self._spent = 0.0

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Note an answer; the path is one that there is, never what a caller sent."""
        self._requests[path, status] += 1
        self._buckets[bisect_left(_SECONDS, seconds)] += 1
        self._spent += seconds

    def problem(self, code: str) -> None:
        """Note a problem document by its code."""
        self._problems[code] += 1

    def text(self, gauges: dict[str, tuple[str, float]], labelled: Sequence[Labelled] = ()) -> bytes:
        """All of them; `gauges` have a type and a value by name, `labelled` have labels, too."""
        lines = ["# TYPE sealscore_scorer_requests_total counter"]
        for (path, status), count in sorted(self._requests.items()):
            lines.append(f'sealscore_scorer_requests_total{{path="{path}",status="{status}"}} {count}')
        lines.append("# TYPE sealscore_scorer_problems_total counter")
        for code, count in sorted(self._problems.items()):
            lines.append(f'sealscore_scorer_problems_total{{code="{code}"}} {count}')
        lines.append("# TYPE sealscore_scorer_request_seconds histogram")
        total = 0
        for edge, count in zip((*map(str, _SECONDS), "+Inf"), self._buckets, strict=True):
            total += count
            lines.append(f'sealscore_scorer_request_seconds_bucket{{le="{edge}"}} {total}')
        lines += [f"sealscore_scorer_request_seconds_sum {self._spent:.6f}"]
        lines += [f"sealscore_scorer_request_seconds_count {total}"]
        for name, (kind, value) in gauges.items():
            lines += [f"# TYPE sealscore_scorer_{name} {kind}", f"sealscore_scorer_{name} {value:g}"]
        known = set[str]()
        for kind, name, labels, count in sorted(labelled, key=lambda one: one[1:3]):
            if name not in known:
                lines.append(f"# TYPE sealscore_scorer_{name} {kind}")
                known.add(name)
            shown = ",".join(f'{label}="{value}"' for label, value in labels)
            lines.append(f"sealscore_scorer_{name}{'{' + shown + '}' if shown else ''} {count}")
        return ("\n".join(lines) + "\n").encode()
