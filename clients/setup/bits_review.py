"""What a plan would tell of single persons, in bits by kind: what was told before, what it needs, and what is left.

The figures are those by which the node itself decides in the run (`sealscore.shared.ledger.disclosures`): by meaning,
of whomever and to whomever. Beyond a limit the node sends fills, so a plan that does not fit trains for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sealscore.clients.roles.bands import told_bits, told_meaning, told_names
from sealscore.clients.setup.config import DataSection
from sealscore.shared.ledger.disclosure_store import DisclosureStore
from sealscore.shared.ledger.serving_state import told_meanings
from sealscore.shared.ledger.state import LedgerState, PlanState
from sealscore.shared.plan.plan import Plan


@dataclass(frozen=True)
class Bits:
    """Bits of one kind: told so far, set aside for live plans that told nothing yet, and needed by this one."""

    used: int
    aside: int
    needed: int

    @property
    def total(self) -> int:
        """Of one person, if all of it is told."""
        return self.used + self.aside + self.needed

    def words(self, limit: int, where: str) -> str:
        """As an operator reads it before approval."""
        left = max(0, limit - self.total)
        aside = f"{self.aside} set aside for live plans, " if self.aside else ""
        return f"{self.used} used, {aside}{self.needed} needed by this plan, {left} left of {limit} ({where})"


def bits_lines(
    plan: Plan, party: str, state: LedgerState, data: DataSection, store: DisclosureStore
) -> tuple[list[tuple[str, str]], list[str]]:
    """Lines for the operator of a platform, and what is in the way of an approval; nothing at a lender.

    A plan that was approved here before needs nothing more than what is set aside for it.
    """
    group = plan.party(party).group
    if group not in plan.platforms or state.ceilings is None:
        return [], []
    new = plan.hash not in state.plans
    signal = _signal(plan, state, store, new)
    allowed = min(state.ceilings.signal_bits, plan.privacy.signal_bits)
    which = "node.toml's and the plan's signal_bits, the lower of the two"
    lines = [("bits of signal", signal.words(allowed, which))]
    obstacles = _signal_obstacles(plan, signal, state.ceilings.signal_bits) if new else []
    if told_names(plan, group):
        bands = _bands(plan, group, party, state, store, new)
        lines.append(("bits of bands", bands.words(data.group_bits, "node.toml's group_bits")))
        # Where this plan alone is above the limit, `MayTell.obstacles` says so.
        if new and bands.needed <= data.group_bits < bands.total:
            obstacles.append(
                f"the bands of this plan are {bands.needed} bits of a person beside {bands.used + bands.aside} of "
                f"others, and node.toml lets {data.group_bits} be told: raise group_bits under [data] to "
                f"{bands.total} or more, or agree on a plan with the bands that were told before"
            )
    lines.append(("known to lenders", "1 bit of each aligned person and lender, that the person is here; no limit"))
    return lines, obstacles


def _signal(plan: Plan, state: LedgerState, store: DisclosureStore, new: bool) -> Bits:
    waiting = [one.plan for one in state.live if not told_meanings(one)]
    aside = sum(one.model.signal_bits for one in waiting if one.platforms and one.signals_from is None)
    # A tower that is not trained yet has levels that mean something new.
    needed = plan.model.signal_bits if new and plan.signals_from is None else 0
    return Bits(sum(store.meanings("signal").values()), aside, needed)


def _signal_obstacles(plan: Plan, signal: Bits, operators: int) -> list[str]:
    total, keys = signal.total, []
    if total > operators:
        keys.append(
            f"signal_bits = {operators} under [budget] of node.toml, to {total} or more, then sealscore-node budget "
            "--why TEXT"
        )
    if total > plan.privacy.signal_bits:
        keys.append(
            f"privacy.signal_bits = {plan.privacy.signal_bits} of the plan, to {total} or more: the server's operator "
            "makes another plan"
        )
    if not keys:
        return []
    return [
        f"its levels would be made up: {signal.used} bits of a person's signal are used, {signal.aside} set aside and "
        f"{signal.needed} needed, {total} together; raise {'; and '.join(keys)}"
    ]


def _bands(plan: Plan, group: str, party: str, state: LedgerState, store: DisclosureStore, new: bool) -> Bits:
    told = store.meanings("groups")
    aside = dict(_asked_bands(state.live, party, told))
    own = {} if not new else {told_meaning(plan, group): told_bits(plan, group)}
    needed = sum(bits for meaning, bits in own.items() if meaning not in told and meaning not in aside)
    return Bits(sum(told.values()), sum(aside.values()), needed)


def _asked_bands(plans: Iterable[PlanState], party: str, told: dict[str, int]) -> Iterable[tuple[str, int]]:
    for one in plans:
        group = one.plan.party(party).group
        if told_names(one.plan, group) and (meaning := told_meaning(one.plan, group)) not in told:
            yield meaning, told_bits(one.plan, group)
