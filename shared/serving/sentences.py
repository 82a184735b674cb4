"""Sentences of reasons that a release brings along, for features of which its plan gives none.

In a plan they would be under its hash, from which noise and splits follow, and nothing of them is computed with: in a
release they are under the hash that is approved, and replays of its scores have them for good.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from sealscore.shared.plan.errors import explain
from sealscore.shared.plan.schema import LevelReason, NumericReason, TableSchema

SENTENCES = "sentences.json"
Sentences = Mapping[str, NumericReason | LevelReason]
"""By the name of the lenders' feature."""


class SentencesError(ValueError):
    """Sentences that do not fit their plan; the message names the feature and what is allowed."""


def checked_sentences(given: Mapping[str, Any], table: TableSchema) -> dict[str, NumericReason | LevelReason]:
    """Sentences from plain data, as a plan's `reason` of the same feature would have them.

    Raises:
        SentencesError: a feature does not enter the lenders' score, or must not or cannot have that sentence.
    """
    scored = {feature.name: feature for feature in table.scored}
    found: dict[str, NumericReason | LevelReason] = {}
    for name, reason in sorted(given.items()):
        feature = scored.get(name)
        if feature is None:
            known = ", ".join(scored)
            raise SentencesError(f"sentences of {name!r}: no feature of the lenders' score; features: {known}")
        if feature.reason is not None:
            raise SentencesError(f"sentences of {name!r}: the plan has its own; leave them out")
        try:
            whole = type(feature).model_validate(feature.model_dump() | {"reason": reason})
        except ValidationError as error:
            words = "; ".join(explain(error, type(feature)))
            raise SentencesError(f"sentences of {name!r}: {words}") from None
        if whole.reason is not None:
            found[name] = whole.reason
    return found


def read_sentences(data: bytes, table: TableSchema) -> dict[str, NumericReason | LevelReason]:
    """Those of a release's file; SentencesError where it holds none of the table's."""
    try:
        plain = json.loads(data)
    except (ValueError, RecursionError):
        plain = None
    if not isinstance(plain, dict):
        raise SentencesError(f"{SENTENCES} holds no sentences")
    return checked_sentences(plain, table)


def written_sentences(sentences: Sentences) -> bytes:
    """The file of a release."""
    plain = {name: reason.model_dump(mode="json", exclude_none=True) for name, reason in sentences.items()}
    return (json.dumps(plain, sort_keys=True, ensure_ascii=False, indent=1) + "\n").encode()


def with_others(sentences: Sentences, others: Sentences) -> dict[str, NumericReason | LevelReason]:
    """Sentences, and others for the features and directions of which they say nothing."""
    found = dict(others)
    for name, own in sentences.items():
        other = others.get(name)
        if other is not None and type(other) is type(own):
            given = {key: value for key in type(own).model_fields if (value := getattr(own, key))}
            own = other.model_copy(update=given)
        found[name] = own
    return found
