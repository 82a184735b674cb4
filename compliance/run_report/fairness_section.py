"""The section on how the score treats groups of people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sealscore.compliance.pages.figures import Dot, Panel, dot_figure
from sealscore.compliance.pages.page import Column, Html, bullets, element, figure, join, paragraph, soft, strong, table
from sealscore.compliance.pages.svg import STYLES, Axis, Style, span
from sealscore.compliance.run_figures.fairness import FOUR_FIFTHS, BandFigures, Estimate, Verdict
from sealscore.compliance.run_figures.findings import Findings
from sealscore.compliance.run_report.quality_sections import approved
from sealscore.shared.text.numbers import LOST, fixed, listed, percent, plural, plus_minus, share, whole

_UNTOLD = "too few to tell"
_FEW = "too few"
_VERDICTS: dict[Verdict, str] = {
    "reference": "reference",
    "at least four fifths": "at least 0.8",
    "below four fifths": "below 0.8",
    "cannot tell": "0.8 is in the interval",
    "too few to tell": _UNTOLD,
}


def fairness_section(found: Findings) -> Html:
    """The table and the figure of every protected attribute that the plan names."""
    plan = found.run.plan
    if not found.groups:
        return paragraph("The plan names no protected attribute under evaluation.groups, so no groups were counted.")
    cut, wished = found.cut, percent(plan.evaluation.approval_rate)
    intro = [
        paragraph(
            f"What would happen at one cut-off: the plan asks for {wished} approved, and the edge of a score cell that "
            f"comes nearest approves {approved(found)}, all with a PD of at most {percent(cut.pd, 1)}. Protected "
            f"attributes ({listed(tuple(found.groups))}) do not enter the score. {_where(found)}"
        ),
        _summary(found),
    ]
    drawn = figure(
        _figure(found),
        "Groups at the cut-off.",
        "Bars are intervals for the exact figure of the same persons; of each kind they hold for all groups at once, "
        "at 95 % (Bonferroni). Where one crosses the dashed line, noise hides on which side a group is.",
        wide=True,
    )
    tables = [_table(name, bands, plan.band_names(name)) for name, bands in found.groups.items()]
    return join([*intro, drawn, *tables, _reading()])


def _where(found: Findings) -> str:
    plan = found.run.plan
    at = {name for group in plan.platforms for name in plan.groups_at(group)}
    if not at:
        return "They lie at the lenders."
    return f"From platforms, of test persons only, came {listed(sorted(at))}: “missing” is of whom no platform knows."


def _summary(found: Findings) -> Html:
    counts = {
        verdict: sum(band.verdict == verdict for bands in found.groups.values() for band in bands)
        for verdict in _VERDICTS
    }
    many = sum(counts.values())
    said = [
        join([strong(plural(counts["below four fifths"], "group")), " whose whole interval is below four fifths"]),
        join(
            [
                strong(plural(counts["at least four fifths"], "group")),
                " whose whole interval is at four fifths or above",
            ]
        ),
        join([strong(plural(counts["cannot tell"], "group")), " whose interval has four fifths in it"]),
        join([strong(plural(counts["too few to tell"], "group")), " too small for the noise to tell anything"]),
    ]
    return join(
        [
            paragraph(
                f"Of {plural(many, 'group')}, {counts['reference']} of them the references, at this cut-off, by 95 % "
                "intervals for noise and sampling that hold for all groups at once:"
            ),
            bullets(said),
        ]
    )


def _figure(found: Findings) -> Html:
    plan = found.run.plan
    named = [
        (f"{name}: {plan.band_names(name)[band.band]}", band) for name, bands in found.groups.items() for band in bands
    ]
    panels = [
        _panel(named, lambda band: band.ratio, "approval-rate ratio", FOUR_FIFTHS, "four fifths", False),
        _panel(named, lambda band: band.good_gap, "good approved: gap", 0.0, "equal", True),
        _panel(named, lambda band: band.calibration_gap, "bad rate less mean PD", 0.0, "calibrated", True),
    ]
    return dot_figure("Fairness figures by group", panels)


def _panel(
    named: Sequence[tuple[str, BandFigures]],
    pick: Callable[[BandFigures], Estimate | None],
    label: str,
    line: float,
    rule: str,
    sign: bool,
) -> Panel:
    dots, ends = [], [line - 0.1, line + 0.1]
    for name, band in named:
        estimate = pick(band)
        if estimate is None:
            dots.append(Dot(name, None, _VERDICTS["reference"] if band.reference else few(band)))
            continue
        style = Style(STYLES[0].colour, hollow=estimate.low < line < estimate.high)
        dots.append(Dot(name, estimate.value, fixed(estimate.value, 2, sign), style, estimate.low, estimate.high))
        ends += [estimate.low, estimate.high]
    return Panel(Axis(label, *span(ends, 0.04), text=lambda value: fixed(value, 2, sign)), dots, (line, rule))


def _table(name: str, bands: Sequence[BandFigures], names: Mapping[str, str]) -> Html:
    rows = [
        (
            names[band.band],
            _records(band),
            _percent(band),
            _compared(band, band.ratio, sign=False),
            _compared(band, band.good_gap),
            _compared(band, band.bad_gap),
            _shown(band, band.calibration_gap),
            _with_sampling(band.ratio),
            _VERDICTS[band.verdict],
        )
        for band in bands
    ]
    columns = [
        name,
        *(
            Column(heading, number=True)
            for heading in (
                *("test records", "approved", "approval-rate ratio", "good approved: gap", "bad refused: gap"),
                *("bad rate less mean PD", "ratio ± with sampling"),
            )
        ),
        "four fifths, with sampling",
    ]
    return table(columns, rows, f"{name}: figures ± half an interval for noise, all groups at once at 95 %")


def few(band: BandFigures) -> str:
    """Why nothing is told of a group: its records do not reach the size from which noise lets one tell."""
    return _FEW if band.records.value < band.least else LOST


def _records(band: BandFigures) -> str:
    """The test records of a group, and how many were needed where they are too few."""
    told = f"{whole(band.records.value)} ± {whole(band.records.high - band.records.value)}"
    return told if band.records.value >= band.least else f"{told}, under {whole(band.least)}"


def _percent(band: BandFigures) -> str:
    estimate = band.approved
    if estimate is None:
        return soft(few(band))
    return f"{fixed(100 * share(estimate.value), 1)} ± {fixed(100 * (estimate.high - estimate.value), 1)} %"


def _compared(band: BandFigures, estimate: Estimate | None, sign: bool = True) -> str:
    return soft(_VERDICTS["reference"]) if band.reference else _shown(band, estimate, sign)


def _shown(band: BandFigures, estimate: Estimate | None, sign: bool = True) -> str:
    return soft(few(band)) if estimate is None else plus_minus(estimate.value, estimate.high - estimate.value, 2, sign)


def _with_sampling(ratio: Estimate | None) -> str:
    return "" if ratio is None else f"± {fixed(ratio.half_with_sampling, 2)}"


def _reading() -> Html:
    said = [
        "Approval-rate ratio: the share approved over that of the group with the highest share among those that can "
        "be told. Below 0.8 is the usual sign of adverse impact (four-fifths rule, 29 CFR 1607.4(D)); by itself it "
        "proves nothing, nor does a ratio above 0.8.",
        "Good approved, gap: of loans that turned out good, the share approved, less that of the same group (true "
        "positive rate; equal opportunity, Hardt, Price and Srebro 2016). Below 0, good borrowers of this group are "
        "refused more often.",
        "Bad refused, gap: of loans that turned out bad, the share refused, less that of the same group.",
        "Bad rate less mean PD: above 0, the score is too kind to the group; below 0, too harsh.",
        "Every ± is about the exact figure of the same test persons: it holds the known noise in the counts. Only the "
        "last two columns also hold the chance of who became a test person.",
        "Multiplicity: with m groups compared, each interval misses with probability 0.05 / m (Bonferroni), so that "
        "all of one column hold at once at 95 %. A reference chosen for its highest rate makes other ratios look a "
        "little lower.",
        "Of a group of fewer records than its row says nothing is told: at least 30 of them, and four times the "
        "standard error of their number.",
        "Outcomes are known of loans that were granted; nothing here tells of people who were refused then.",
    ]
    return element("div", bullets(said), class_="note")
