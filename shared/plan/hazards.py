"""What a well-formed plan may not ask: what would fail, or mean two things, for some records and not for others.

The server writes the plan, and sees whether a party answers. So nothing in a plan may make a party's arithmetic
overflow for records of one kind, and nothing may have two meanings between which a record decides. All of it follows
from public bounds. Ledgers keep approved plans for good, so a plan with hazards can still be read; nobody answers under
it.
"""

from __future__ import annotations

from collections.abc import Iterator

from sealscore.shared.plan.monitoring import PURPOSE
from sealscore.shared.plan.plan import FALLBACK, Plan
from sealscore.shared.plan.schema import CategoricalFeature, DerivedFeature, NumericFeature, TableSchema

# Far above any useful number, and far enough below the largest float that a sum of a few such numbers is finite.
LARGEST = 1e300


def hazards(plan: Plan) -> list[str]:
    """What is wrong with a plan in this sense, each with its key, the value and the fix; empty where nothing is."""
    found = [what for name, group in plan.groups.items() for what in _overflows(f"groups.{name}.table", group.table)]
    if FALLBACK in plan.groups:
        found.append(f"groups.{FALLBACK}: that is the name of the tower that reads no signal; rename the group")
    if plan.monitoring is None and plan.purpose_code == PURPOSE:
        found.append(
            f"purpose_code = {PURPOSE!r}: consents and ceilings of that purpose are for plans with [monitoring], which "
            "count and train nothing; name another purpose"
        )
    return found + list(_two_meanings(plan))


def simulated_only(plan: Plan) -> list[str]:
    """What no party with real data may answer under; empty where there is nothing of the kind.

    It protects nobody, tells of records what nobody charged, or has an outcome that nobody defined.
    """
    found = []
    if simulated := sorted(name for name, card in plan.cards.items() if card.simulation):
        found.append(f"the plan's cards of {', '.join(simulated)} are of a simulation: anyone can sign for them")
    if plan.privacy.noise == "none":
        found.append("privacy.noise = 'none' is for simulations: a real node adds noise or answers nothing")
    if plan.alignment.method != "private":
        found.append("alignment.method = 'exact' is for simulations: it shows a platform whom it does not know")
    found += [
        f"groups.{name}.table.read_from_data: bounds and levels were read from records, which no budget has paid for; "
        "write those of your documentation, and leave the key out"
        for name, group in plan.groups.items()
        if group.table.read_from_data
    ]
    if plan.outcome.placeholder:
        found.append(
            "outcome.placeholder: window_days and cutoff stand for those that nobody has set yet; set them, and leave "
            "the key out"
        )
    return found


def _overflows(where: str, table: TableSchema) -> Iterator[str]:
    for feature in (*table.features, *table.derived):
        if isinstance(feature, NumericFeature) and not _fits(_widest(feature)):
            scale = "" if feature.scale is None else f", scale = {feature.scale:g}"
            yield (
                f"{where}: the grid of {feature.name!r} overflows (lower = {feature.lower:g}, upper = "
                f"{feature.upper:g}{scale}): bounds over the scale must stay below {LARGEST:g}"
            )
    columns = {feature.name: feature for feature in table.features if isinstance(feature, NumericFeature)}
    for derived in table.derived:
        if not all(map(_fits, _reach(derived, columns))):
            yield (
                f"{where}: the formula of {derived.name!r} overflows for values within the bounds of its columns: "
                f"weights times bounds, their sum, and that over floor must stay below {LARGEST:g}"
            )


def _fits(value: float) -> bool:
    return value <= LARGEST


def _widest(feature: NumericFeature) -> float:
    return 2 * _most(feature) / min(feature.scale or 1.0, 1.0)


def _reach(derived: DerivedFeature, columns: dict[str, NumericFeature]) -> Iterator[float]:
    """The largest absolute values that a formula's sums can have on the way: that of all terms bounds any part."""
    formula = derived.formula
    weights = formula.weights or (1.0,) * len(formula.of)
    above = sum(abs(weight) * _most(columns[name]) for weight, name in zip(weights, formula.of, strict=True))
    yield above
    if formula.per is not None and formula.floor is not None:
        yield sum(_most(columns[name]) for name in formula.per)
        yield above / formula.floor


def _most(feature: NumericFeature) -> float:
    return max(abs(feature.lower), abs(feature.upper))


def _two_meanings(plan: Plan) -> Iterator[str]:
    """Bands of one name are one thing for all who tell of them."""
    for name in plan.evaluation.groups:
        meanings = {
            (feature.kind, feature.levels if isinstance(feature, CategoricalFeature) else ())
            for group in plan.groups.values()
            for feature in group.table.protected
            if feature.name == name
        }
        if len(meanings) > 1:
            holders = [g for g, group in plan.groups.items() if name in {f.name for f in group.table.protected}]
            yield (
                f"evaluation.groups: {name!r} is defined in different ways by the groups {', '.join(holders)}: give it "
                "the same kind and the same levels in the same order, or different names"
            )
