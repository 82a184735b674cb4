"""How many bits of a person a plan needs, what is left, and which keys to change: before it is approved."""

from __future__ import annotations

from pathlib import Path

import pytest
from ledger_files import enrolled_plan
from serving_entries import MEANING, platform_ledger
from vertical_builders import VIDEOS

from sealscore.clients.setup.bits_review import bits_lines
from sealscore.clients.setup.config import DataSection
from sealscore.shared.ledger.disclosure_store import DisclosureStore
from sealscore.shared.ledger.entries import Approve, Ceilings
from sealscore.shared.ledger.ledger import read_ledger
from sealscore.shared.ledger.state import LedgerState
from sealscore.shared.plan.plan import Plan

NEEDED = enrolled_plan().model.signal_bits
DATA = DataSection(id="creators", file=Path("x.csv"), identifier="who", form="exact", protected=("region",))


def state_of(path: Path, signal_bits: int = 12, live: tuple[Plan, ...] = ()) -> LedgerState:
    """The state of a platform that told the levels of one tower, beside other plans that are live."""
    ceilings = Ceilings(epsilon=None, delta=1e-5, signal_bits=signal_bits)
    more = [Approve(plan=plan.hash, text=plan.canonical().decode("ascii")) for plan in live]
    platform_ledger(path / "ledger.db", *more, ceilings=ceilings)
    state = LedgerState()
    for stored in read_ledger(path / "ledger.db"):
        state.apply(stored.seq, stored.at, stored.entry)
    return state


def told(signal: int = NEEDED, bands: dict[str, int] | None = None) -> DisclosureStore:
    """A store in which so many bits of a signal were told, and bands by their meaning."""
    store = DisclosureStore()
    if signal:
        store.tell("signal", MEANING, signal, "lender-1", "ab" * 32, {"ann": 1})
    for meaning, bits in (bands or {}).items():
        store.tell("groups", meaning, bits, "lender-1", "ab" * 32, {"ann": 0})
    return store


def second(signal_bits: int = 12, name: str = "second") -> Plan:
    return enrolled_plan(name, privacy__signal_bits=signal_bits)


class TestSignal:
    def look(self, path: Path, plan: Plan, operators: int = 12, *live: Plan) -> tuple[str, list[str]]:
        lines, obstacles = bits_lines(plan, VIDEOS[0], state_of(path, operators, live), DATA, told())
        return dict(lines)["bits of signal"], obstacles

    def test_a_second_plan_fits_and_says_what_is_used_needed_and_left(self, tmp_path: Path):
        line, obstacles = self.look(tmp_path, second())
        assert (obstacles, NEEDED) == ([], 3)
        assert line.startswith("3 used, 3 needed by this plan, 6 left of 12")

    @pytest.mark.parametrize(
        ("operators", "plans", "keys"),
        [(5, 12, (True, False)), (12, 5, (False, True)), (4, 4, (True, True)), (6, 6, (False, False))],
    )
    def test_each_key_that_is_too_low_is_named(
        self, tmp_path: Path, operators: int, plans: int, keys: tuple[bool, bool]
    ):
        _, obstacles = self.look(tmp_path, second(plans), operators)
        said = "".join(obstacles)
        assert (f"signal_bits = {operators} under [budget] of node.toml, to 6" in said) == keys[0]
        assert (f"privacy.signal_bits = {plans} of the plan, to 6" in said) == keys[1]
        assert len(obstacles) == any(keys)

    def test_what_a_live_plan_will_tell_is_set_aside(self, tmp_path: Path):
        line, obstacles = self.look(tmp_path, second(8), 8, second(name="third"))
        assert line.startswith("3 used, 3 set aside for live plans, 3 needed by this plan, 0 left of 8")
        assert len(obstacles) == 1
        assert "to 9 or more" in obstacles[0]

    def test_an_approved_plan_is_shown_and_never_in_the_way(self, tmp_path: Path):
        line, obstacles = self.look(tmp_path, enrolled_plan(), 1)
        assert line.startswith("3 used, 0 needed")
        assert obstacles == []

    def test_a_lender_has_nothing_to_say(self, tmp_path: Path):
        assert bits_lines(second(1 + NEEDED), "lender-1", state_of(tmp_path, 1), DATA, told()) == ([], [])


class TestBands:
    SAME, OTHER = "region: coast, inland, missing", "region: coast, other, missing"

    def look(self, told_before: dict[str, int], most: int) -> tuple[str, list[str]]:
        state = LedgerState()
        state.ceilings = Ceilings(epsilon=None, delta=1e-5)
        data = DATA.model_copy(update={"group_bits": most})
        lines, obstacles = bits_lines(enrolled_plan("bands"), "wallet", state, data, told(0, told_before))
        return dict(lines)["bits of bands"], obstacles

    def test_bands_that_were_told_before_need_nothing(self):
        line, obstacles = self.look({self.SAME: 2}, 2)
        assert (line.startswith("2 used, 0 needed by this plan, 0 left of 2"), obstacles) == (True, [])

    def test_other_bands_add_up(self):
        line, obstacles = self.look({self.OTHER: 2}, 2)
        assert line.startswith("2 used, 2 needed by this plan, 0 left of 2")
        assert "raise group_bits under [data] to 4 or more" in "".join(obstacles)
        assert self.look({self.OTHER: 2}, 4)[1] == []

    def test_what_is_above_the_limit_alone_is_said_elsewhere(self):
        plan = enrolled_plan("bands")
        assert self.look({}, 1)[1] == []
        assert len(DATA.model_copy(update={"group_bits": 1}).may_tell.obstacles(plan, "wallet")) == 1
