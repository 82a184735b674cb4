"""What a level means: the tower, its bins and its edges, under the features and the model of a plan."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from sealscore.shared.plan.plan import Plan


def signal_meaning(plan: Plan, group: str, parts: Mapping[str, bytes]) -> str:
    """SHA-256, 64 hexadecimal digits, over all that levels of a group's tower follow from.

    `parts` are the published parts of the phase by name. Equal weights mean the same levels under the same features,
    crosses and codes only. Ledgers of platforms keep it with each disclosure of a signal.
    """
    form = signal_form(plan, group).encode()
    pieces = [hashlib.sha256(piece).digest() for piece in (form, *(parts[name] for name in sorted(parts)))]
    return hashlib.sha256(b"".join(pieces)).hexdigest()


def signal_form(plan: Plan, group: str) -> str:
    """What levels of a group follow from beside the published parts: its features, crosses and the form of towers."""
    settings, model = plan.groups[group], plan.model.model_dump_json(exclude={"fallback"})
    return f"{settings.table.model_dump_json()}\0{settings.crosses}\0{model}"
