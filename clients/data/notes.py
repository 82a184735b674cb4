"""What an operator should know of data that can be used: what falls together, whose consents are read, how bins fall.

None of it is a fault, and nothing of it is told to the server: a plan whose bounds follow a party's table would tell
what is in the table.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from sealscore.clients.data.cells import decimal
from sealscore.clients.data.load import Loaded
from sealscore.shared.persons.consent import FEDERATION
from sealscore.shared.persons.records import Records
from sealscore.shared.phases.bin_rule import BinRule, bin_rule
from sealscore.shared.plan.plan import Plan
from sealscore.shared.plan.schema import NumericFeature

FULL = 0.5
"""The share of a feature's records in its three fullest cells from which on bins cannot tell them apart."""
_FULLEST = 3
_BETTER = 0.75  # of the share, for another scale to be worth asking for
_SCALES = tuple(10.0**power for power in range(-3, 8))
_OFTEN = 0.005  # of the records, for a number to be taken for a word


@dataclass(frozen=True)
class Note:
    """A code, and the words; `shown` is the same with cells of the table, for the operator's own terminal alone."""

    code: str
    words: str
    shown: str = ""


def notes(loaded: Loaded, plan: Plan, party: str, known: Collection[str]) -> list[Note]:
    """All there is to say of the data of a party under a plan; `known` are the names whose cards are trusted."""
    records, rule = loaded.records, bin_rule(plan, plan.party(party).group)
    return [
        *_rows(loaded, plan, party),
        *([] if records.consent is None else _consents(records, plan, known)),
        *(note for feature in records.schema.scored for note in _bins(records, feature, rule, not plan.training.auto)),
    ]


def _rows(loaded: Loaded, plan: Plan, party: str) -> Iterator[Note]:
    most, nominal = plan.privacy.max_records_per_person, plan.party(party).nominal_records
    if loaded.together:
        words = f"{loaded.together:,} of {loaded.rows:,} rows share their person with others"
        yield Note("together", words)
    if loaded.left_out:
        words = f"{loaded.left_out:,} rows are left out, beyond max_records_per_person = {most}"
        yield Note("left-out", words)
    if 2 * len(loaded.records) < nominal:
        words = f"{len(loaded.records):,} records are less than half of the plan's nominal_records = {nominal:,}"
        yield Note("nominal", words)


def _consents(records: Records, plan: Plan, known: Collection[str]) -> Iterator[Note]:
    assert records.consent is not None
    purpose = plan.purpose_code
    rows = Counter(recipient for given in records.consent for recipient in {one.recipient for one in given})
    for recipient in sorted(rows):
        live = len(records.consenting(recipient, purpose))
        yield Note(
            "recipient", f"consents to {recipient}: in {rows[recipient]:,} records, {live:,} persons with a live one"
        )
    of_plan = {FEDERATION, *(party.name for party in plan.parties)}
    if strange := sorted(rows.keys() - of_plan - set(known)):
        names = ", ".join(repr(name) for name in strange)
        yield Note("nobody", f"consents to {names}, who is no party of the plan and has no trusted card")
    if unasked := sum(not given for given in records.consent):
        yield Note("none", f"{unasked:,} of {len(records):,} records have no consent at all")
    if rows and not any(records.live(recipient, purpose).any() for recipient in rows):
        yield Note("expired", f"no consent to {purpose} is live: all are expired, withdrawn, of a later day or purpose")


def _bins(records: Records, feature: object, rule: BinRule, scaled: bool) -> Iterator[Note]:
    """A feature whose records are in few cells of its grid, or has numbers that seem to be words.

    The grid reads a scale where it is `scaled`.
    """
    if not isinstance(feature, NumericFeature):
        return
    values = records.columns[feature.name]
    values = values[~np.isnan(values)]
    if not len(values):
        return
    words = _sentinels(values)
    cells = np.searchsorted(rule.edges(feature), words, side="left")
    if len(words):
        listed = f"[{', '.join(decimal(word) for word in words)}]"
        where = ", in one bin" if len(words) > 1 and len(set(cells.tolist())) < len(words) else ""
        said = f"{feature.name}: {len(words)} numbers at its ends come so often that they may stand for no value{where}"
        fix = f"if so, write {feature.name} = {listed} under [data.missing_values]"
        yield Note("sentinel", f"{said}; {fix.replace(listed, '[...]')}", f"{said}; {fix}")
    values = values[~np.isin(values, words)]
    share = _share(values, rule.edges(feature))
    # Of a column of few values no grid could make more.
    if feature.edges or share < FULL or len(np.unique(values)) <= 2 * _FULLEST:
        return
    said = f"{feature.name}: {share:.0%} of its values are in the {_FULLEST} fullest of its grid cells"
    if not scaled:
        yield Note("grid", f"{said}; ask for a plan with narrower bounds or with edges")
        return
    shares = {scale: _share(values, rule.edges(feature.model_copy(update={"scale": scale}))) for scale in _SCALES}
    best = min(shares, key=lambda scale: shares[scale])
    if shares[best] < _BETTER * share:
        said += f", and {shares[best]:.0%} would be with scale = {decimal(best)}"
    yield Note("grid", f"{said}; ask for a plan with a scale or with edges")


def _share(values: np.ndarray, edges: np.ndarray) -> float:
    """The share of values in the fullest cells of a grid."""
    if not len(values):
        return 0.0
    counts = np.bincount(np.searchsorted(edges, values, side="left"))
    return float(np.sort(counts)[-_FULLEST:].sum() / len(values))


def _sentinels(values: np.ndarray) -> np.ndarray:
    """Numbers at either end of a column that come often and are written as words for no value are: -9999 and -9998."""
    found, counts = np.unique(values, return_counts=True)
    ends = np.zeros(len(found), dtype=bool)
    ends[:_FULLEST], ends[-_FULLEST:] = True, True
    often = counts >= max(2.0, _OFTEN * len(values))
    return np.array([one for one in found[ends & often] if _WORD.fullmatch(decimal(one))])


_WORD = re.compile(r"-([789])\1*[5-9]?|([789])\2+[5-9]")
