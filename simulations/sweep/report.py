"""The report of a sweep: one page with its figures and its settings, and the figures as files of their own."""

from __future__ import annotations

from pathlib import Path

from sealscore.compliance.pages.page import Column, Html, Page, element, figure, join, notice, paragraph, table
from sealscore.compliance.pages.svg import alone
from sealscore.shared.files import write_whole
from sealscore.shared.text.numbers import LOST, UNRECORDED, between, data_size, fixed, listed, plural
from sealscore.simulations.sweep.figures import band_words, figures_of
from sealscore.simulations.sweep.results import Results, Spread, SweepSetting

REPORT = "report.html"


def write_report(folder: Path, output: Path | None = None) -> Path:
    """Write the report of a sweep, by default as `report.html` into its folder; returns where it is.

    Raises:
        SweepFolderError: there is no sweep in `folder`, or none of its runs is finished.
        OSError: the report cannot be written.
    """
    target = output or folder / REPORT
    text = report(Results.read(folder))
    write_whole(target, text)
    return target


def write_figures(folder: Path, output: Path) -> list[Path]:
    """Write each figure as an SVG file `NAME-FIGURE.svg`; their paths. Raises as `write_report` does."""
    results = Results.read(folder)
    output.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, drawn in figures_of(results).items():
        path = output / f"{results.name}-{name}.svg"
        path.write_text(alone(drawn.drawing) + "\n", encoding="utf-8")
        paths.append(path)
    return paths


def report(results: Results) -> str:
    """The report as a whole document."""
    frame, settings = results.frame, results.settings
    plans = sorted(set(frame["plan"].to_list()))
    page = Page(f"Sweep report: {results.title}", f"{results.name}; plan {listed(plans)}")
    page.section("What was run", _what(results))
    for drawn in figures_of(results).values():
        page.section(drawn.title.rstrip("."), figure(drawn.drawing, drawn.title, drawn.words, wide=True))
    page.section("All settings", paragraph(band_words(results)), _settings(results, settings))
    page.section("The sweep's file", element("div", element("pre", element("code", results.source)), class_="scroll"))
    return page.render()


def _what(results: Results) -> Html:
    finished, planned = results.frame.height, results.planned
    settings = len(results.settings)
    said = [
        paragraph(
            f"{plural(finished, 'run')} of {planned} planned, {plural(settings, 'setting')}, up to "
            f"{plural(results.seeds, 'seed')} each, on {listed(sorted(set(results.frame['dataset'].to_list())))}. "
            f"Keys that change: {listed([str(axis) for axis in results.axes]) or 'none'}."
        ),
        paragraph(
            f"AUC and its like are exact, on all {results.judge} persons at once, which only a simulation can know. "
            "Every figure follows from sweep.parquet, one row a run, in the folder of the sweep."
        ),
    ]
    if finished < planned:
        said.append(notice("Unfinished.", paragraph("The same command runs what is missing.")))
    if results.best is not None:
        best = results.best
        said.append(
            notice(
                "The best setting, on test.",
                paragraph(
                    f"{best['chosen']}, trained once on all training persons: AUC {fixed(best['auc'], 4)}, KS "
                    f"{fixed(best['ks'], 4)} on the test persons, of whom no other run of this sweep knew."
                ),
            )
        )
    if results.declaration:
        said.append(notice("Invented data.", paragraph(results.declaration)))
    return join(said)


def _settings(results: Results, settings: list[SweepSetting]) -> Html:
    numbers = ("AUC", "lowest", "highest", "AUC as released", "KS", "ECE", "epsilon", "bytes a party", "seconds")
    baselines = results.columns("baseline.")
    rows = []
    for setting in settings:
        auc = setting.spread("auc")
        rows.append(
            (
                setting.name or "all runs",
                str(setting.rows.height),
                *(fixed(value, 4) for value in ((auc.mean, auc.low, auc.high) if auc else (None, None, None))),
                _released(setting),
                *(_mean(setting.spread(name), 4) for name in ("ks", "ece")),
                _mean(setting.spread("epsilon"), 3),
                data_size(size.mean) if (size := setting.spread("bytes_per_party")) else "",
                _mean(setting.spread("seconds"), 1),
                *(_mean(setting.spread(name), 4) for name in baselines),
            )
        )
    columns = ["runs", *numbers, *(name.removeprefix("baseline.").replace("_", " ") for name in baselines)]
    return table(["setting", *(Column(name, number=True) for name in columns)], rows)


def _mean(spread: Spread | None, digits: int) -> str:
    return "none" if spread is None else fixed(spread.mean, digits)


def _released(setting: SweepSetting) -> str:
    """The AUC as the protocol released it, with its interval, and in how many runs noise hid it."""
    known = setting.spread("auc_dp")
    if known is None:
        return LOST
    found = setting.released("auc_dp")
    if found is None:
        return UNRECORDED
    hidden = setting.rows.height - found.seeds
    return between(found.mean, found.low, found.high, 4) + (f"; {LOST} in {hidden}" if hidden else "")
