"""The marginals of a world as figures of their own, from the tables that its parties hold.

Published figures are drawn where there are any: likes and comments per view, as ratios of the medians, of a public
collection of YouTube's trending videos (US, September and October 2017, 7,992 rows). Those are chosen videos, so
their levels are no guide, only their ratios are.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from sealscore.compliance.pages.figures import Dot, Label, Line, Panel, Rule, dot_figure, line_figure
from sealscore.compliance.pages.page import Html
from sealscore.compliance.pages.svg import STYLES, Axis, alone
from sealscore.shared.text.numbers import percent, short
from sealscore.simulations.world.build import TRUTH, read_manifest

PUBLISHED = {"likes": 8652 / 308611, "comments": 1086 / 308611}
"""Median likes and comments over median views."""


class Tables:
    """The tables of a world under their canonical names, both video platforms together."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.manifest = folder, read_manifest(folder)

    def of(self, kind: str, table: str, columns: list[str]) -> pl.DataFrame:
        """Columns of a table of all parties of a kind, one below the other."""
        frames = []
        for party, what in self.manifest["parties"].items():
            if what["kind"] == kind:
                names = what["tables"][table]["columns"]
                read = pl.scan_parquet(self.folder / party / f"{table}.parquet")
                frames.append(read.select(pl.col(names[name]).alias(name) for name in columns).collect())
        return pl.concat(frames)

    def truth(self, table: str) -> pl.DataFrame:
        """A table of the truth."""
        return pl.read_parquet(self.folder / TRUTH / f"{table}.parquet")


def write_figures(folder: Path, output: Path) -> list[Path]:
    """Draw all figures into a folder; their paths.

    Raises:
        WorldFolderError: there is no world in `folder`.
        OSError: a figure cannot be written.
    """
    tables = Tables(folder)
    output.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, draw in FIGURES.items():
        path = output / f"world-{name}.svg"
        path.write_text(alone(draw(tables)) + "\n", encoding="utf-8")
        paths.append(path)
    return paths


def _share_above(values: np.ndarray, low: float, high: float) -> tuple[list[float], list[float]]:
    """Points of the share of values at or above x, x on a log scale."""
    at = np.geomspace(low, high, 80)
    above = 1 - np.searchsorted(np.sort(values), at) / len(values)
    there = above > 0
    return at[there].tolist(), above[there].tolist()


def _histogram(values: np.ndarray, edges: np.ndarray) -> tuple[list[float], list[float]]:
    """Stairs of the share of values in each cell, in percent."""
    counts, _ = np.histogram(values, edges)
    shares = 100 * counts / len(values)
    return edges.tolist(), [*shares.tolist(), float(shares[-1])]


def _ratio(tables: Tables, name: str, low: float, high: float) -> Html:
    videos = tables.of("video", "videos", ["creator_id", "views", name]).filter(pl.col("views") >= 1000)
    buyers = tables.truth("creators").filter("buys_traffic")["creator_id"].implode()
    bought = videos["creator_id"].is_in(buyers)
    ratio = videos[name] / videos["views"]
    edges = np.geomspace(low, high, 46)
    lines = [
        Line("", *_histogram(ratio.filter(~bought).to_numpy(), edges), STYLES[0], step=True),
        Line("", *_histogram(ratio.filter(bought).to_numpy(), edges), STYLES[1], step=True),
    ]
    top = max(max(line.y) for line in lines)
    across = Axis(f"{name} per view (videos of 1,000 views or more; log scale)", low, high, _percent, log=True)
    up = Axis("share of videos (%)", 0, 1.15 * top)
    rule = Rule(f"published {percent(PUBLISHED[name], 2)}", x=PUBLISHED[name])
    labels = [
        Label("all others", PUBLISHED[name] * 1.9, 0.75 * top, STYLES[0].colour),
        Label("buyers of traffic", PUBLISHED[name] / 4, 0.17 * top, STYLES[1].colour, "end"),
    ]
    return line_figure(f"{name} per view", across, up, lines, [rule], labels, width=620, height=300)


def _at_peaks(lines: list[tuple[str, Line]], side: str = "start") -> list[Label]:
    """The names of lines beside their highest points."""
    labels = []
    for name, line in lines:
        peak = int(np.argmax(line.y))
        labels.append(Label(name, line.x[peak], line.y[peak], line.style.colour, side, up=6))
    return labels


def _percent(value: float) -> str:
    return f"{100 * value:g} %"


def _views(tables: Tables) -> Html:
    views = tables.of("video", "videos", ["views"])["views"].to_numpy()
    followers = tables.of("video", "followers", ["creator_id", "followers"])
    last = followers.group_by("creator_id", maintain_order=True).last()["followers"].to_numpy()
    named = [
        ("views of a video", Line("", *_share_above(views, 10, 1e8), STYLES[0])),
        ("followers of a channel", Line("", *_share_above(last, 10, 1e8), STYLES[1])),
    ]
    labels = [Label(name, line.x[-1], line.y[-1], line.style.colour, "end", right=-10) for name, line in named]
    across = Axis("views of a video, or followers of a channel, at least (count, log scale)", 10, 1e8, _count, log=True)
    up = Axis("share of videos or of channels (%, log scale)", 1e-6, 1, lambda share: f"{100 * share:g}", log=True)
    lines = [line for _, line in named]
    return line_figure("Views and followers", across, up, lines, labels=labels, width=620, height=340)


def _count(value: float) -> str:
    """A count on an axis that spans many powers of ten."""
    for size, unit in ((1e6, " M"), (1e3, " k")):
        if value >= size:
            return short(value / size) + unit
    return short(value)


def _completion(tables: Tables) -> Html:
    videos = tables.of("video", "videos", ["completion_rate", "duration_s"])
    edges = np.linspace(0, 1, 41)
    parts = (
        ("up to 20 s", pl.col("duration_s") <= 20),
        ("20 to 45 s", pl.col("duration_s").is_between(20, 45, closed="right")),
        ("above 45 s", pl.col("duration_s") > 45),
    )
    named = [
        (name, Line("", *_histogram(videos.filter(part)["completion_rate"].to_numpy(), edges), style, step=True))
        for (name, part), style in zip(parts, STYLES, strict=False)
    ]
    lines = [line for _, line in named]
    across = Axis("completion rate (share of a video that is watched)", 0, 1, percent)
    up = Axis("share of videos (%)", 0, 1.15 * max(max(line.y) for line in lines))
    return line_figure("Completion rate by duration", across, up, lines, labels=_at_peaks(named), width=620, height=300)


def _posting(tables: Tables) -> Html:
    videos = tables.of("video", "videos", ["creator_id", "published_at"])
    months = videos.group_by("creator_id", pl.col("published_at").dt.truncate("1mo")).len()
    counts = months["len"].to_numpy()
    edges = np.arange(0.5, 41.5)
    across = Axis("videos of a creator in a month with any", 0.5, 40.5)
    x, y = _histogram(counts, edges)
    up = Axis("share of months (%)", 0, 1.1 * max(y))
    return line_figure("Videos a month", across, up, [Line("", x, y, step=True)], width=620, height=260)


def _orders(tables: Tables) -> Html:
    orders = tables.of("video", "orders", ["creator_id", "ordered_at", "amount"])
    months = orders.group_by("creator_id", pl.col("ordered_at").dt.truncate("1mo")).agg(pl.col("amount").sum())
    inflow = tables.of("wallet", "flows", ["inflow"])["inflow"]
    edges = np.geomspace(10, 1e6, 51)
    lines = [
        Line("", *_histogram(months["amount"].to_numpy(), edges), STYLES[0], step=True),
        Line("", *_histogram(inflow.to_numpy(), edges), STYLES[1], step=True),
    ]
    labels = [
        *_at_peaks([("orders, both video platforms", lines[0])]),
        *_at_peaks([("inflow of the wallet", lines[1])], "end"),
    ]
    across = Axis(
        f"{tables.manifest['config']['currency']} of a creator in a month (log scale)", 10, 1e6, _count, log=True
    )
    up = Axis("share of months (%)", 0, 1.2 * max(max(line.y) for line in lines))
    return line_figure("Turnover that platforms see", across, up, lines, labels=labels, width=620, height=300)


def _bureau(tables: Tables) -> Html:
    scores = tables.of("lender", "bureau", ["score"])["score"]
    asked = tables.of("lender", "applications", ["application_id"]).height
    known = scores.drop_nulls().to_numpy()
    edges = np.arange(400, 861, 10)
    x, y = _histogram(known, edges)
    across = Axis(f"bureau score; {percent(1 - len(known) / asked)} of applications have none", 400, 860)
    up = Axis("share of those with a score (%)", 0, 1.1 * max(y))
    return line_figure("Bureau score", across, up, [Line("", x, y, step=True)], width=620, height=260)


def _vintages(tables: Tables) -> Html:
    loans = tables.truth("applications")
    start = loans["applied_at"].dt.truncate("1mo")
    rates = (
        loans.with_columns(vintage=start)
        .filter("approved")
        .group_by("vintage")
        .agg(rate=100 * pl.col("bad_if_granted").mean(), n=pl.len())
        .sort("vintage")
    )
    half = 1.96 * (rates["rate"] * (100 - rates["rate"]) / rates["n"]).sqrt()
    y = rates["rate"]
    line = Line("", list(range(len(y))), y.to_list(), low=(y - half).to_list(), high=(y + half).to_list())
    names = rates["vintage"].dt.strftime("%Y-%m").to_list()
    across = Axis("month of application", -0.5, len(y) - 0.5, lambda at: names[round(at)], values=range(0, len(y), 3))
    up = Axis("bad of the approved (%)", 0, 1.25 * float((y + half).to_numpy().max()))
    return line_figure("Bad rate by vintage, with 95 % intervals", across, up, [line], width=620, height=280)


def _lenders(tables: Tables) -> Html:
    loans = tables.truth("applications").join(
        tables.truth("creators").select("creator_id", "thin_file"), on="creator_id"
    )
    rows = []
    for thin, name in ((False, "full file"), (True, "thin file")):
        for (lender,), part in loans.filter(pl.col("thin_file") == thin).group_by("lender", maintain_order=True):
            granted = part.filter("approved")["bad_if_granted"].to_numpy()
            rows.append((f"{lender}, {name}", len(granted) / len(part), float(granted.mean()), len(granted)))
    rows.sort()
    approved = [Dot(label, 100 * share, percent(share)) for label, share, _, _ in rows]
    bad = [
        Dot(label, 100 * rate, percent(rate, 1), STYLES[1], 100 * (rate - half), 100 * (rate + half))
        for label, _, rate, n in rows
        for half in [1.96 * (rate * (1 - rate) / n) ** 0.5]
    ]
    most = 1.1 * max(dot.high or 0 for dot in bad)
    panels = [
        Panel(Axis("approved (%)", 0, 100), approved),
        Panel(Axis("bad among approved (%, 95 % interval)", 0, most), bad),
    ]
    return dot_figure("Approval and bad rate by lender and file", panels)


FIGURES: dict[str, Callable[[Tables], Html]] = {
    "likes": lambda tables: _ratio(tables, "likes", 1e-3, 0.3),
    "comments": lambda tables: _ratio(tables, "comments", 1e-4, 0.1),
    "views": _views,
    "completion": _completion,
    "posting": _posting,
    "turnover": _orders,
    "bureau": _bureau,
    "vintages": _vintages,
    "lenders": _lenders,
}
"""Of each figure its name and how it is drawn."""
