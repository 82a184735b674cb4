"""The report of a life: one page that a lender's risk officer reads, from the files of its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from sealscore.compliance.pages.figures import Line, Rule, line_figure
from sealscore.compliance.pages.page import Column, Html, Page, cards, figure, figures, join, notice, paragraph, table
from sealscore.compliance.pages.svg import STYLES, Axis
from sealscore.shared.files import write_whole
from sealscore.shared.text.numbers import fixed, percent, plural, whole
from sealscore.simulations.life.events.pages import early_section, ended_rows, retraining_section

REPORT = "report.html"
RECORD, ORACLE, FIGURES = "life.json", "oracle", "figures.json"
_ALONE, _FEDERATION, _NO_BAND = "lender alone", "federation", "federation, no capacity band"
_WAYS: Mapping[str, tuple[str, bool]] = {
    "approved": ("approved", True),
    "thin_approved": ("thin files approved", True),
    "bad_rate": ("bad of these", True),
    "loss_rate": ("lost of what is lent", True),
    "beyond_capacity": ("of the approved, beyond capacity", True),
    "beyond_loans": ("loans beyond capacity", False),
    "reviewed": ("decided by a person", True),
    "identity_reviewed": ("reviewed for papers or traffic", True),
    "frauds_stopped": ("frauds without a loan", True),
    "frauds_stopped_excess": ("that less the share of all, in points", True),
    "frauds_stopped_by_review": ("frauds stopped by that review", True),
    "wave_stopped": ("frauds of the wave without a loan", True),
    "days_median": ("days, median", False),
    "days_90": ("days, 90th percentile", False),
}


def write_report(folder: Path) -> Path:
    """Write the report of the life in a folder as `report.html`; where it is. OSError where that fails."""
    record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    oracle = json.loads((folder / ORACLE / FIGURES).read_text(encoding="utf-8"))
    months = pl.read_parquet(folder / "months.parquet")
    target = folder / REPORT
    write_whole(target, life_report(record, oracle, months))
    return target


def life_report(record: Mapping[str, Any], oracle: Mapping[str, Any], months: pl.DataFrame) -> str:
    """The report as a whole document."""
    config, happened = record["config"], record["happened"]
    page = Page(
        "A life, simulated",
        f"{whole(config['creators'])} creators, {plural(config['months'], 'month')}, seed {config['seed']}",
    )
    page.section(
        "In short",
        notice("Invented data.", paragraph("Nothing here was measured on anybody; docs/life.md says what is planted.")),
        _short(oracle),
    )
    page.section("The same applicants, decided in other ways", _explained(), _ways(oracle))
    page.section("Who withholds consent", _consents(oracle))
    page.section("Early warnings", early_section(oracle))
    page.section("Trained again", retraining_section(record, oracle))
    page.section("Month by month", _months(config, months))
    page.section("What lenders saw", _happened(happened))
    page.section("What was told of each person", _told(record))
    page.section("What was checked at the end", _checks(record))
    return page.render()


def changes(oracle: Mapping[str, Any]) -> dict[str, float | None]:
    """The figures that a life is judged by: changes against the best lender alone or no band, as shares."""
    ways, ranking = oracle["ways"], oracle["ranking"]
    best = f"{_ALONE}, the best"
    lived, unbanded = ways[_FEDERATION], ways[_NO_BAND]
    return {
        "bad_rate_at_equal_approvals": _change(ranking["bad_rate"][_FEDERATION], ranking["bad_rate"][best]),
        "thin_files_at_equal_bad_rate": _change(ranking["thin_approved"][_FEDERATION], ranking["thin_approved"][best]),
        "beyond_capacity": _change(lived["beyond_capacity"], unbanded["beyond_capacity"]),
        "beyond_loans": _change(lived["beyond_loans"], unbanded["beyond_loans"]),
        "approved": lived["approved"],
        "approved_no_band": unbanded["approved"],
        "approved_alone": ways[_ALONE]["approved"],
        "frauds_stopped": lived["frauds_stopped"],
        "frauds_stopped_excess": excess(lived),
        "frauds_stopped_excess_alone": excess(ways[_ALONE]),
        "frauds_stopped_by_review": ways[_FEDERATION]["frauds_stopped_by_review"],
        "frauds_stopped_alone": ways[_ALONE]["frauds_stopped"],
        "identity_reviewed": ways[_FEDERATION]["identity_reviewed"],
        "days_median": ways[_FEDERATION]["days_median"],
        "days_90": ways[_FEDERATION]["days_90"],
        "days_90_alone": ways[_ALONE]["days_90"],
        **_early(oracle["early"]),
        **_again(oracle["retraining"]),
    }


def _early(early: Mapping[str, Any]) -> dict[str, float | None]:
    """How much of what turned bad was flagged in time: by the lists, by own scores, by bits; and of the watched."""
    found: dict[str, float | None] = {}
    for place, group in (("early", early), ("early_watched", early["watched"])):
        for name in ("rule", "score", "rule_ever", "score_ever", "bit"):
            for figure_ in ("flagged", "caught", "lead"):
                found[f"{place}_{name}_{figure_}"] = group[name][figure_]
    return found | {"early_ones": early["bits"]["ones"]}


def _again(both: Mapping[str, Any] | None) -> dict[str, float | None]:
    """AUC of the models before and after a retraining, on the same applications."""
    return {f"auc_{name}": None if both is None else both[name]["auc"] for name in ("old", "new")}


def excess(way: Mapping[str, float | None]) -> float | None:
    """By how much the share of frauds without a loan exceeds that of all applications: 0 where chance alone stops them.

    A way that approves less stops more frauds, whoever they are, so the share alone does not compare ways.
    """
    stopped, approved = way["frauds_stopped"], way["approved"]
    return None if stopped is None or approved is None else stopped - (1 - approved)


def _change(value: float | None, base: float | None) -> float | None:
    return None if value is None or not base else value / base - 1


def _short(oracle: Mapping[str, Any]) -> Html:
    found, ranking = changes(oracle), oracle["ranking"]
    best = f"{_ALONE}, the best"
    return cards(
        [
            (
                "Bad rate at equal approvals",
                percent(found["bad_rate_at_equal_approvals"], 1, sign=True),
                f"{percent(ranking['bad_rate'][_FEDERATION], 1)} of the best {percent(ranking['approved'])} by the "
                f"federation's score; {percent(ranking['bad_rate'][best], 1)} by {ranking['best_lender']}'s own.",
            ),
            (
                "Thin files at equal bad rate",
                percent(found["thin_files_at_equal_bad_rate"], 1, sign=True),
                f"{percent(ranking['thin_approved'][_FEDERATION], 1)} of them could be approved, "
                f"{percent(ranking['thin_approved'][best], 1)} by the lender alone.",
            ),
            (
                "Loans beyond capacity",
                percent(found["beyond_capacity"], 1, sign=True),
                "Approvals whose true instalments exceed the policy's share of the true income, against the same "
                "policy with the declared income in the place of the capacity band.",
            ),
            (
                "Frauds without a loan",
                percent(found["frauds_stopped"], 1),
                f"Of those that were planted; {percent(1 - oracle['ways'][_FEDERATION]['approved'], 1)} of all "
                f"applications got none. {percent(found['identity_reviewed'], 1)} of all were reviewed for papers or "
                "traffic.",
            ),
        ]
    )


def _explained() -> Html:
    return paragraph(
        "Each way is a score and the policy, evaluated by the lender's own code on the same inputs. A lender alone has "
        "its own model, without noise, no flag and the declared income. No privacy has boosted trees on all columns of "
        "all parties but those of earlier loans. All approve by a cut-off at which as many pass by score as in the "
        "life. Outcomes are those of what was asked for, also of who was declined, which only the oracle knows. "
        "Declines wait for a person, so most of what a person decides are declines. All ways meet the applications of "
        "the federation's life: its earlier loans are in what limits leave, in what people owe and repay, and in the "
        "lender they turn to; what a way would have changed by deciding otherwise is not played."
    )


def _ways(oracle: Mapping[str, Any]) -> Html:
    named = oracle["ways"]
    ways = [{**way, "frauds_stopped_excess": excess(way)} for way in named.values()]
    rows = [
        (
            words,
            *(percent(way[name], 1) if share else fixed(way[name], 0 if name == "beyond_loans" else 1) for way in ways),
        )
        for name, (words, share) in _WAYS.items()
    ]
    return table(["", *(Column(way, number=True) for way in named)], rows)


def _consents(oracle: Mapping[str, Any]) -> Html:
    rows = [
        (f"consent {name}", *(percent(of[key], 1) for key in ("share", "bad_if_granted", "mean_pd")))
        for name, of in oracle["consents"].items()
    ]
    words = paragraph(
        "Those who withhold a consent at one platform or more, and all others: how many of each would turn bad if all "
        "were granted what they ask for, and what the score predicts of them."
    )
    heads = (Column(name, number=True) for name in ("applications", "bad if granted", "PD, mean"))
    return join([words, table(["", *heads], rows)])


def _months(config: Mapping[str, Any], months: pl.DataFrame) -> Html:
    first: date = months["month"].min()  # type: ignore[assignment]
    planted = [("shock", config["shock"]["month"])]
    planted += [("fraud wave", config["wave"]["month"])] if config["wave"]["months"] else []
    planted += [("platform away", config["away"]["month"])] if config["away"]["days"] else []
    rules = [Rule(name, x=float(at)) for name, at in planted if at is not None and at < config["months"]]
    drawn = []
    for column, title, words in (
        (
            "bad_rate",
            "Bad loans by the month of the application",
            "A vintage's loans that turned bad within 12 months; vintages whose 12 months are over alone.",
        ),
        ("approved_share", "Approved applications", "Reviews counted when they are decided."),
        ("days_mean", "Days to a decision, mean", "Most wait for nobody; declines wait for a person."),
    ):
        lines = []
        for style, (lender, of) in zip(STYLES, months.group_by("lender", maintain_order=True), strict=False):
            known = of.filter(pl.col(column).is_not_null())
            if known.is_empty():
                continue
            xs = [float(_months_between(first, month)) for month in known["month"].to_list()]
            lines.append(Line(str(lender[0]), xs, known[column].to_list(), style))
        top = max((max(line.y) for line in lines), default=1.0)
        across = Axis("month of the life", 0.0, float(max(1, config["months"] - 1)))
        drawing = line_figure(title, across, Axis(title.lower(), 0.0, max(top * 1.1, 1e-6)), lines, rules, width=520)
        drawn.append(figure(drawing, title, words))
    return figures(*drawn)


def _months_between(first: date, month: date) -> int:
    return (month.year - first.year) * 12 + month.month - first.month


def _happened(happened: Mapping[str, Any]) -> Html:
    tokens = happened["tokens"]
    rows = [
        ("applications", whole(happened["applications"])),
        ("tokens", whole(tokens.get("token", 0))),
        ("consents withheld", whole(tokens.get("withheld", 0))),
        ("no token, as the platform was away", whole(tokens.get("away", 0))),
        ("applications without any level", percent(happened["without_a_level"], 1)),
        ("answered by the fallback", percent(happened["fallback_share"], 1)),
        ("approved", percent(happened["approved_share"], 1)),
        ("decided by a person", percent(happened["reviewed_share"], 1)),
        ("days to a decision, median and 90th percentile", f"{happened['days_median']:g}, {happened['days_90']:g}"),
        ("loans", whole(happened["loans"])),
        ("loans whose 12 months are over", whole(happened["bad_known"])),
        ("bad of these", percent(happened["bad_rate"], 1)),
        ("loans of which the loss is known", whole(happened["loss_known"])),
        ("lost of what was lent in these", percent(happened["loss_rate"], 1)),
    ]
    rows += ended_rows(happened)
    heads = ["", Column(f"up to the last day, {happened['last_day']}", number=True)]
    return table(heads, rows)


def _told(record: Mapping[str, Any]) -> Html:
    rows = [
        (party, kind, whole(of["persons"]), fixed(of["mean"], 1), whole(of["most"]))
        for party, kinds in record["bits"].items()
        for kind, of in kinds.items()
    ]
    numbers = (Column(name, number=True) for name in ("persons", "bits, mean", "bits, most"))
    budget = max(one["epsilon"] for one in record["training"].values())
    delta = next(iter(record["training"].values()))["delta"]
    words = paragraph(
        f"All training: epsilon {fixed(budget, 3)} at delta {delta:g}. Of those who live in the life tokens and "
        "batches told this, each person at each platform:"
    )
    return join([words, table(["platform", "kind", *numbers], rows)])


def _checks(record: Mapping[str, Any]) -> Html:
    rows = [(one["party"], one["what"], whole(one["looked_at"]), whole(one["failed"])) for one in record["checks"]]
    return table(["party", "what", Column("looked at", number=True), Column("failed", number=True)], rows)
