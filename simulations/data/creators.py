"""The creator world as a data set: each party's own raw tables, turned into features by the party's own code.

A world is built once for its config and the code, run through `sealscore.clients.features` at every party, and kept
under `worlds` in the folder of the caches: the feature tables and the truth, not the raw tables.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from sealscore.clients.data import DataError, Problem
from sealscore.clients.features import Sentiment
from sealscore.clients.features.dictionary.dictionary import AS_OF, CONSENT, ID, PERSON, Kind
from sealscore.clients.features.dictionary.row_local import comparing
from sealscore.clients.features.raw.tables import too_many
from sealscore.shared.caches import cache_folder
from sealscore.shared.plan.plan import Plan
from sealscore.shared.processes import IMPORT_ROOT
from sealscore.simulations.world.build import TRUTH, build, read_manifest
from sealscore.simulations.world.config import WorldConfig
from sealscore.simulations.world.party_features import KINDS, party_features

_PACKAGE = IMPORT_ROOT / "sealscore"
_CODE = ("simulations/world", "clients/features")
_LIBRARIES = ("numpy", "polars", "vaderSentiment")
_MANIFEST, _FEATURES, _REJECTED = "world.json", "features.parquet", "rejected.json"

Tell = Callable[[str], None]


@dataclass(frozen=True)
class CreatorWorld:
    """A world whose parties have computed their features. `folder` holds a folder a party, and the truth."""

    folder: Path
    manifest: dict[str, Any]

    @classmethod
    def of(cls, config: WorldConfig, tell: Tell = lambda what: None) -> CreatorWorld:
        """The world of a config: from the cache, or built now."""
        folder = _cache() / _key(config)
        if not (folder / _MANIFEST).is_file():
            _make(config, folder, tell)
        return cls(folder, read_manifest(folder))

    def kind(self, party: str) -> Kind | None:
        """What kind of party that is; None where the world has none of that name."""
        held = self.manifest["parties"].get(party)
        return None if held is None else KINDS[held["kind"]]

    def tables(self, plan: Plan) -> dict[str, pl.DataFrame]:
        """Each party's table of features, with its consents as they stand on the plan's cut-off day.

        The world ends years before today, so a consent that is live on that day, the first on which all outcomes are
        known, is written without an end, and one that has ended by then is left out.

        Raises:
            DataError: the world has no party of a name, or it is of another role, or more of a raw table's rows are at
                fault than the plan allows, or the plan counts a feature that depends on other persons' rows.
        """
        self._check(plan)
        return {party.name: self._table(party.name, plan.outcome.cutoff) for party in plan.parties}

    def _table(self, party: str, day: date) -> pl.DataFrame:
        frame = pl.read_parquet(self.folder / party / _FEATURES)
        return frame.with_columns(pl.Series(CONSENT, live_on(frame[CONSENT].to_list(), day), dtype=pl.String))

    def _check(self, plan: Plan) -> None:
        problems = []
        for place, party in enumerate(plan.parties):
            kind, role = self.kind(party.name), plan.groups[party.group].role
            if kind is None or (kind == "lender") != (role == "lender"):
                what = "the world has no such party" if kind is None else f"the plan says {role}, the world {kind}"
                names = ", ".join(self.manifest["parties"])
                problems.append(
                    Problem(f"parties.{place} = {party.name!r}", what, f"name parties of the world: {names}")
                )
        for party in plan.parties:
            problems += [Problem(f"plan {plan.name}", what, "leave it out") for what in comparing(plan, party.name)]
            if self.kind(party.name) is not None:
                counts = json.loads((self.folder / party.name / _REJECTED).read_text(encoding="utf-8"))
                named = {f"{party.name}/{table}": (bad, rows) for table, (bad, rows) in counts.items()}
                problems += too_many(named, plan.groups[party.group].table.most_rejected)
        if problems:
            raise DataError(problems)

    def facts(self, plan: Plan) -> pl.DataFrame:
        """A row for each loan of the plan's lenders: what its segments are named by.

        `application_id`, `lender`, `vintage` (2023-11), `product`, `platforms` (how many know the applicant and may
        be asked) and `thin_file` (no bureau score).
        """
        tables = self.tables(plan)
        asked = [party.name for group in plan.platforms for party in plan.members(group)]
        given = {
            name: dict(zip(tables[name][PERSON], map(_recipients, tables[name][CONSENT]), strict=True))
            for name in asked
        }
        parts = []
        for lender in (party.name for party in plan.members(plan.lenders)):
            loans = tables[lender]
            known = [
                sum(name in own and lender in given[name].get(person, ()) for name in asked)
                for person, own in zip(loans[PERSON], map(_recipients, loans[CONSENT]), strict=True)
            ]
            parts.append(
                loans.select(
                    ID,
                    pl.lit(lender).alias("lender"),
                    pl.col(AS_OF).dt.strftime("%Y-%m").alias("vintage"),
                    pl.col("product"),
                    pl.Series("platforms", known, dtype=pl.Int64),
                    pl.col("bureau_score").is_null().alias("thin_file"),
                )
            )
        return pl.concat(parts)


def live_on(cells: list[str | None], day: date) -> list[str]:
    """Cells of a consent column as of a day: consents that have ended are left out, the others lose their end."""
    return ["; ".join(_live(cell, day)) for cell in cells]


def _live(cell: str | None, day: date) -> list[str]:
    found = (part.strip().partition(" until ") for part in (cell or "").split(";") if part.strip())
    return [recipient for recipient, _, until in found if not until or date.fromisoformat(until) >= day]


def _recipients(cell: str) -> set[str]:
    return {part.strip() for part in cell.split(";")}


def _cache() -> Path:
    return cache_folder() / "worlds"


def _key(config: WorldConfig) -> str:
    """Changes with the config, with the code that draws and reads a world, and with the libraries that it uses."""
    sources = sorted(path for folder in _CODE for kind in ("*.py", "*.npz") for path in (_PACKAGE / folder).rglob(kind))
    code = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    parts = {
        "config": config.model_dump(mode="json"),
        "code": code,
        "libraries": [f"{name} {version(name)}" for name in _LIBRARIES],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _make(config: WorldConfig, folder: Path, tell: Tell) -> None:
    """Build a world aside, and move what is kept of it into place as a whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".world-", dir=folder.parent) as aside:
        raw, kept = Path(aside) / "raw", Path(aside) / "kept"
        manifest = build(config, raw, lambda what: tell(f"creator world: {what}"))
        tell("creator world: tone of comments")
        sentiment = Sentiment.shipped()
        for party in manifest["parties"]:
            tell(f"creator world: features of {party}")
            built = party_features(raw, manifest, party, kept / party, sentiment)
            (kept / party / _REJECTED).write_text(json.dumps(built.rejected), encoding="utf-8")
        shutil.move(raw / TRUTH, kept / TRUTH)
        shutil.move(raw / _MANIFEST, kept / _MANIFEST)
        try:
            kept.rename(folder)
        except OSError:
            # Another process was faster; its world is the same.
            if not (folder / _MANIFEST).is_file():
                raise
