"""The sections on the parties' part in a run: traffic, failures, and how training went."""

from __future__ import annotations

import polars as pl

from sealscore.compliance.pages.figures import Line, line_figure
from sealscore.compliance.pages.page import Column, Html, figure, figures, join, paragraph, table
from sealscore.compliance.pages.svg import STYLES, Axis
from sealscore.compliance.run_figures.disclosure import phase_title
from sealscore.compliance.run_figures.findings import Findings
from sealscore.shared.phases.order import phases
from sealscore.shared.text.numbers import data_size, plural, short, whole


def parties(found: Findings) -> Html:
    """A row for each party, and the failures by round."""
    run = found.run
    rows = []
    for party in run.plan.parties:
        flow = run.record["traffic"]["parties"].get(party.name, {})
        rows.append(
            (
                party.name,
                run.plan.groups[party.group].role,
                party.group,
                whole(party.nominal_records),
                whole(flow.get("requests", 0)),
                whole(run.answers_of(party.name)),
                whole(flow.get("failures", 0)),
                data_size(flow.get("bytes_sent", 0)),
                data_size(flow.get("bytes_received", 0)),
            )
        )
    heads = ("nominal records", "requests", "sums answered", "failures", "from the server", "to the server")
    columns = ["party", "role", "group", *(Column(head, number=True) for head in heads)]
    said = (
        "The server talks to each party and parties never to one another, so all that crossed is in these figures. "
        "“Sums answered” counts what a party may have answered and is charged for."
    )
    return join([paragraph(said), table(columns, rows), _failures(found)])


def _failures(found: Findings) -> Html:
    failures = found.run.record["failures"]
    if not failures:
        return paragraph("No party failed in any round.")
    shown = failures[:20]
    rows = [
        (
            entry["phase"],
            whole(entry["round"]),
            ", ".join(f"{p} ({why})" for p, why in sorted(entry["parties"].items())),
        )
        for entry in shown
    ]
    title = "Rounds in which a party failed"
    if len(failures) > len(shown):
        title += f": the first {len(shown)} of {len(failures)}"
    return table(["phase", Column("round", number=True), "who failed, and how"], rows, title)


def training(found: Findings) -> Html:
    """Gradient and noise by round, for each tower."""
    run = found.run
    drawn = [
        _gradients(found, phase_title(run.plan, phase), phase.name)
        for phase in phases(run.plan)
        if phase.of.clips and phase.rounds > 1
    ]
    settings = run.plan.training
    rate = "all records" if settings.sample_rate == 1 else f"each record with probability {short(settings.sample_rate)}"
    intro = (
        f"Towers are trained by {settings.algorithm}: in each of {plural(settings.rounds, 'round')} a party takes "
        f"{rate}. Both lines below are public: one is what the server got, the other the noise that is known to be in "
        "it. Where they meet, a round brings more noise than news, and averaging over rounds does the rest."
    )
    return join([paragraph(intro), figures(*drawn)])


def _gradients(found: Findings, title: str, phase: str) -> Html:
    rows = found.run.rounds.filter((pl.col("phase") == phase) & pl.col("gradient_norm").is_not_null())
    rounds, gradient = rows["round"].to_list(), rows["gradient_norm"].to_list()
    noise = rows["noise_norm"].to_list()
    if len(rounds) < 2:
        return Html("")
    lines = [Line("what came", rounds, gradient, STYLES[0])]
    positive = [value for value in [*gradient, *noise] if value > 0]
    if max(noise) > 0:
        lines.append(Line("its noise", rounds, noise, STYLES[1]))
    low, high = min(positive, default=1e-3) / 1.3, max(positive, default=1.0) * 1.3
    plot = line_figure(
        title,
        Axis("round", min(rounds), max(rounds), whole),
        Axis("norm of the mean gradient (log)", low, max(high, low * 4), short, log=True),
        lines,
    )
    seconds = float(rows["seconds"].sum())
    return figure(plot, f"{title}.", f"{plural(len(rounds), 'round')} in {short(seconds)} seconds.")
