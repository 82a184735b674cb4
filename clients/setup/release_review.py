"""What an operator sees of a release before approving it, and what is in the way."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sealscore.clients.data import DataError
from sealscore.clients.setup.config import NodeConfig
from sealscore.clients.setup.node_dir import NodeDir
from sealscore.clients.setup.plan_data import loaded
from sealscore.clients.setup.serving_dir import ServingDir, today
from sealscore.shared.ledger.entries import AdmitRelease
from sealscore.shared.ledger.serving_state import signals_under, told_meanings
from sealscore.shared.ledger.state import LedgerState
from sealscore.shared.serving.release import Release
from sealscore.shared.text.terminal import grouped

# Standard errors by which a tower must rank the platform's own noisy labels better than chance.
_CLEARLY = 2.0
NEW = "not approved"


@dataclass(frozen=True)
class ReleaseReview:
    """A release in words, and what is in the way of its approval.

    `unranked` says why a platform's tower is not shown to rank its labels: the operator may approve it all the same.
    """

    release: Release
    lines: tuple[tuple[str, str], ...]
    obstacles: tuple[str, ...]
    unranked: str = ""
    state: str = NEW


def review(node_dir: NodeDir, release: Release, state: LedgerState) -> ReleaseReview:
    """Look at a release as the operator of a node does; a platform's data are read for its check of the tower."""
    manifest, config = release.manifest, node_dir.config()
    lines = [
        ("release", f"{manifest.name}, {grouped(release.hash)}"),
        ("plan", f"{release.plan.name}, {grouped(manifest.plan)}"),
        ("purpose", manifest.purpose_code),
        ("purpose of retraining", manifest.retraining_code or "none: no level of a token enters a training"),
        ("lenders", ", ".join(manifest.lenders)),
        ("valid", f"{manifest.issued} to {manifest.expires}"),
        ("models", ", ".join(release.content.models)),
        ("golden vectors", "the same here as where it was made"),
    ]
    obstacles, unranked = [], ""
    if manifest.expires < today():
        obstacles.append(f"it has expired on {manifest.expires}; ask for a newer one")
    known = state.plans.get(manifest.plan)
    name = config.node.name
    if known is None:
        obstacles.append("its plan was never approved at this node, so nothing of it can be used here")
    elif config.node.role == "lender":
        if name not in manifest.lenders:
            obstacles.append(f"{name} is none of its lenders")
        signals = [f"{group}: {', '.join(told.bits)}" for group, told in manifest.told.items()]
        lines.append(("platforms tell", "; ".join(signals) or "nothing: the plan has none"))
        if manifest.cutoffs:
            lines.append(("approves the plan's share at", f"{manifest.cutoffs.champion} points (champion)"))
    else:
        group = release.plan.party(name).group
        told = manifest.told[group]
        kinds = ", ".join(f"{kind} ({bits} bits)" for kind, bits in told.bits.items())
        lines.append(("it tells", kinds))
        if told.capacity:
            edges = ", ".join(f"{edge:g}" for edge in told.capacity.edges)
            lines.append(("capacity is", f"the band of {told.capacity.column} between {edges}"))
            read = told.capacity.column in {feature.name for feature in release.plan.groups[group].table.scored}
            if read and len(told.capacity.edges) > 1:
                words = "its tower reads this column, too: with the level, more than two bands name much of the channel"
                lines.append(("mind", words))
        if told.flag:
            lines.append(("flag is", f"whether {told.flag.column} is above {told.flag.above:g}"))
        lines.append(("a day", f"of at most {manifest.most_a_day} persons for each lender"))
        for kind, bits in told.bits.items():
            limit = config.serving.limit(kind)
            lines.append((f"ceiling of {kind}", f"{limit.month} bits a person and month, {limit.life} ever"))
            for which in ("month", "life"):
                if getattr(limit, which) < bits:
                    obstacles.append(
                        f"{kind} has {bits} bits, and node.toml allows {getattr(limit, which)}: raise {which} of "
                        f"serving.limits.{kind} to {bits} or more, or ask for a release without it"
                    )
        told_most = ServingDir(node_dir).store().most_bits() if ServingDir(node_dir).store_file.exists() else {}
        used = ", ".join(f"{kind} {bits}" for kind, bits in told_most.items())
        lines.append(("told so far, most bits of a person", used or "nothing"))
        if told.meaning not in told_meanings(signals_under(known, state.plans)):
            obstacles.append(
                "its tower is none whose levels this node told in training; a server could have made it up"
            )
        else:
            words, wrong, unranked = _ranking(node_dir, config, release)
            lines.append(("its tower on our noisy labels", words))
            obstacles += wrong
    approved = state.serving.releases.get(release.hash)
    lines.append(("state", approved.state if approved else NEW))
    return ReleaseReview(release, tuple(lines), tuple(obstacles), unranked, approved.state if approved else NEW)


def admit(release: Release, config: NodeConfig) -> AdmitRelease:
    """The entry of an approval; the operator's limits of today go with it at a platform."""
    manifest = release.manifest
    party = release.plan.party(config.node.name)
    kinds = manifest.told[party.group].bits if party.group in manifest.told else {}
    limits = {kind: config.serving.limit(kind) for kind in kinds}
    text = manifest.canonical()
    return AdmitRelease(release=release.hash, plan=manifest.plan, text=text, limits=limits)


def _ranking(node_dir: NodeDir, config: NodeConfig, release: Release) -> tuple[str, list[str], str]:
    """Whether the tower ranks the noisy labels that lenders released to this platform.

    In words; what is in the way; and why it is not shown to rank them, where it is not.

    A tower that a server made up to tell something else than risk does not; one that ranks can still be crafted.
    """
    name, plan = config.node.name, release.plan
    try:
        records = loaded(node_dir, config, plan).records
    except DataError as error:
        return "not looked at", [f"the data cannot be read under its plan: {error}"], ""
    store = node_dir.disclosure_store()
    source = plan.signals_from
    received = store.received(source.plan if source else plan.hash, "label")
    store.close()
    row = {person: at for at, person in reversed(list(enumerate(records.person)))}
    pairs = [(row[person], bit) for told in received.values() for person, bit in told.items() if person in row]
    bad = np.array([bit == 1 for _, bit in pairs], dtype=bool)
    if not bad.any() or bad.all():
        words = "there are no labels of its plan here any more"
        return words, [], f"{words}, so nothing shows that it ranks persons by risk"
    rows = np.array([at for at, _ in pairs])
    tower = release.content.towers[plan.party(name).group]
    scores = tower.model.logits({column: values[rows] for column, values in records.columns.items()})
    auc, deviation = ranking(scores, bad)
    words = f"AUC {auc:.3f}, standard error {deviation:.3f}, of {len(bad)} labels with their noise"
    if auc - 0.5 < _CLEARLY * deviation:
        what = "its tower ranks our noisy labels no better than chance: it may tell something else than risk"
        return words, [], what
    return words, [], ""


def ranking(scores: np.ndarray, bad: np.ndarray) -> tuple[float, float]:
    """AUC of scores [n] against outcomes bool [n], and its standard error where nothing is known of it (Hanley and
    McNeil 1982, at AUC 0.5).
    """
    order = np.argsort(scores, kind="stable")
    _, first, inverse, counts = np.unique(scores[order], return_index=True, return_inverse=True, return_counts=True)
    ranks = (first + (counts + 1) / 2)[inverse]
    most, least = int(bad.sum()), int((~bad).sum())
    auc = (ranks[bad[order]].sum() - most * (most + 1) / 2) / (most * least)
    return float(auc), math.sqrt((most + least + 1) / (12 * most * least))
