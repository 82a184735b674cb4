"""The model of a run, for frames in memory: PDs, points, reasons and the card, as its release gives them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from sealscore.clients.data import Table
from sealscore.clients.scoring.scorer import MOST_REASONS
from sealscore.compliance.run_figures.bin_table import bin_table, card_csv
from sealscore.shared.files import write_whole
from sealscore.shared.serving.release import CHAMPION, Release, ReleaseError
from sealscore.simulations.experiments.job import NO_RELEASE, RELEASE
from sealscore.simulations.exports.onnx_file import write_onnx
from sealscore.simulations.research.frames import as_frame
from sealscore.simulations.scoring.table_scores import TableScores, score_table

_REASONS = {
    "row": pl.Int64,
    "place": pl.Int64,
    "code": pl.String,
    "points": pl.Float64,
    "en": pl.String,
    "zh": pl.String,
}


class ResearchModel:
    """What was trained, as it would answer in service: the champion where a row has a platform's columns, else the
    fallback. Frames are polars or pandas, with the lenders' columns of the plan; further columns are ignored.
    """

    def __init__(self, release: Release, outcomes: Mapping[str, Any] | None = None) -> None:
        self.release, self._outcomes = release, outcomes

    @classmethod
    def of_run(cls, run: Path) -> ResearchModel:
        """The model in a run's folder.

        Raises:
            ReleaseError: the run has no release, or its files are damaged.
        """
        folder = run / RELEASE
        if not folder.is_dir():
            raise ReleaseError(f"{folder}: {NO_RELEASE}")
        oracle = run / "oracle.json"
        known = json.loads(oracle.read_text(encoding="utf-8")) if oracle.is_file() else {}
        return cls(Release.load(folder), known.get("bins"))

    def score(self, frame: Any) -> pl.DataFrame:
        """PD, points, which model answered, and up to four reason codes: a row for each row, in its order.

        Raises:
            DataError: a column is missing, or a cell is none of the plan's schema; nothing is scored.
            NoModel: the release has no model for some of the rows.
        """
        return self._scored(frame).frame

    def pd(self, frame: Any) -> np.ndarray:
        """Probabilities of default, float64 [rows], to six digits. Raises as `score` does."""
        return self.score(frame)["pd"].to_numpy()

    def points(self, frame: Any) -> np.ndarray:
        """Score points, int64 [rows]: 600 at odds of 20 good to 1 bad, 20 more double them. Raises as `score` does."""
        return self.score(frame)["points"].to_numpy()

    def reasons(self, frame: Any) -> pl.DataFrame:
        """What lowered each score most: up to four rows for each row of the frame, the heaviest first.

        Columns: `row` from 1, `place` 1 to 4, `code`, `points` lost against the average applicant (tenths), and the
        sentence for the applicant in English and Chinese, `en` and `zh`. Raises as `score` does.
        """
        found = self._scored(frame)
        codes = [found.frame[f"reason_{place}"].to_list() for place in range(1, MOST_REASONS + 1)]
        rows = [
            (row + 1, place + 1, code, float(found.lost[row, place]), found.texts[code].en, found.texts[code].zh)
            for row, given in enumerate(zip(*codes, strict=True))
            for place, code in enumerate(given)
            if code is not None
        ]
        return pl.DataFrame(rows, schema=_REASONS, orient="row")

    def scorecard(self) -> pl.DataFrame:
        """The score as a card: base points first, then a row a bin, the largest feature first.

        Columns: `feature`, `bin`, `share` (released), `points` (added to the base points), `contribution` (to the log
        odds of default), and as only a simulation knows them, of its training records: `bad_rate`, `woe`, `iv`.
        """
        return bin_table(self.release.content.model, self._outcomes)

    def to_csv(self, path: str | Path) -> Path:
        """Write the card as CSV; returns where it is. OSError where it cannot be written; nothing is left then."""
        write_whole(Path(path), card_csv(self.scorecard()))
        return Path(path)

    def to_onnx(self, path: str | Path, model: str = CHAMPION) -> Path:
        """Write the `champion` or the `fallback` as an ONNX file; returns where it is.

        Inputs are the lenders' columns that the model reads, [rows] each: numbers as float64, NaN where missing,
        categories as text, "" where missing; and of the champion each kind of platform's level as float64. Outputs are
        `logit`, `pd` (six digits) and `points`, those of `score`; a row that the plan's schema refuses gets NaN. The
        file is written once ONNX Runtime gives the release's scores for 512 invented applicants: logits within 1e-9,
        PDs and points to their last digit.

        Raises:
            NoExtra: onnx or onnxruntime is not installed (`pip install 'sealscore[onnx]'`).
            BadSetting: the release has no such model.
            ExportDiffers: the runtime gives other scores; nothing is written.
            OSError: the file cannot be written; nothing is left.
        """
        write_onnx(self.release, Path(path), model)
        return Path(path)

    def _scored(self, frame: Any) -> TableScores:
        return score_table(self.release, Table.of(as_frame(frame), "the frame"))
