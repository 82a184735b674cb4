"""Whether all that a plan counts of a party's table follows from one person's own rows.

The privacy claim counts the records of one person. A column whose value moves with another person's rows (a rank, a
median of the table, "another applicant has this number") breaks it, so a plan that counts one is refused by name.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from sealscore.clients.data.errors import DataError, Problem
from sealscore.clients.data.sources.files import PARQUET_SUFFIXES
from sealscore.clients.data.sources.sources import Source
from sealscore.clients.features.dictionary.dictionary import entry
from sealscore.clients.features.dictionary.digest import DIGEST, dictionary_digest
from sealscore.shared.plan.plan import Group, Plan


def counted(plan: Plan, group: Group) -> tuple[str, ...]:
    """The columns of a group's table that enter anything that is released, in the order of the table.

    They are those that are scored or from which a scored feature is derived, and those by whose levels the evaluation
    is told; a mere input enters nothing. Of a plan of counts they are what its tables are by, whatever a column
    is marked as: the months are the node's own reading of each loan.
    """
    if plan.monitoring is not None:
        return tuple(feature.name for feature in group.table.features if feature.name in plan.monitoring.by)
    used = {feature.name for feature in group.table.scored}
    used |= {name for derived in group.table.derived for name in derived.formula.inputs}
    used |= {feature.name for feature in group.table.protected} & plan.evaluation.groups.keys()
    return tuple(feature.name for feature in group.table.features if feature.name in used)


def comparing(plan: Plan, party: str) -> list[str]:
    """Why a party's plan counts features of the dictionary that it may not; nothing where there is none."""
    group = plan.party(party).group
    return [
        f"groups.{group}.table: the plan counts {name!r}, which depends on other persons' rows: no epsilon holds "
        "for it; ask for a plan without it"
        for name in counted(plan, plan.groups[group])
        if _marked(name) is False
    ]


def undeclared(plan: Plan, party: str) -> list[str]:
    """Why a party's plan cannot be answered where the operator has not declared the own columns to be row-local."""
    group = plan.party(party).group
    names = [name for name in counted(plan, plan.groups[group]) if _marked(name) is None]
    if not names:
        return []
    listed = ", ".join(repr(name) for name in names)
    return [
        f"groups.{group}.table: the plan counts {listed}, which the feature dictionary does not have; where each of "
        "them depends on its person's own rows alone, write row_local = true under [data] in node.toml"
    ]


def other_dictionary(plan: Plan, party: str) -> list[str]:
    """Where a plan names a feature dictionary that is not this release's."""
    group = plan.party(party).group
    named, own = plan.groups[group].table.dictionary, dictionary_digest()
    if named is None or named == own:
        return []
    return [
        f"groups.{group}.table.dictionary: the plan names the feature dictionary {named}, and this release has {own}; "
        "install the release that the plan was made for, or ask for a plan with this dictionary"
    ]


def obstacles(plan: Plan, party: str, declared: bool) -> list[str]:
    """All that keeps a real node from answering a plan, for what its features are; nothing where nothing does.

    `declared` is the operator's word, `row_local` under `[data]`. Of a plan without that party nothing is said.
    """
    if party not in {one.name for one in plan.parties}:
        return []
    found = [*other_dictionary(plan, party), *comparing(plan, party)]
    return found if declared else found + undeclared(plan, party)


def check_row_local(plan: Plan, party: str, declared: bool) -> None:
    """Refuse what `obstacles` finds.

    Raises:
        DataError: there is something.
    """
    if found := obstacles(plan, party, declared):
        fix = "see sealscore-node plan show"
        raise DataError([Problem(f"plan {plan.name}", words, fix) for words in found])


def check_dictionary(plan: Plan, party: str, source: Source) -> None:
    """Refuse a plan that names another feature dictionary than this release's, or than that of a table of features.

    Raises:
        DataError: it does.
    """
    if found := other_dictionary(plan, party):
        raise DataError([Problem(f"plan {plan.name}", found[0], "see sealscore-node plan show")])
    group = plan.party(party).group
    made, named = made_by(source), plan.groups[group].table.dictionary
    if made is not None and made != named:
        what = (
            f"its features are of the dictionary {made}, and the plan names {named} (groups.{group}.table.dictionary)"
        )
        fix = "compute them again with this release: sealscore-node features"
        raise DataError([Problem(Path(str(source)).name, what, fix)])


def made_by(source: Source) -> str | None:
    """The digest of the dictionary by which a file of features was computed; None of any other source."""
    if not isinstance(source, Path) or source.suffix.lower() not in PARQUET_SUFFIXES:
        return None
    try:
        return pl.read_parquet_metadata(source).get(DIGEST)
    except (OSError, pl.exceptions.PolarsError):
        return None  # that it cannot be read is for its reader to say


def _marked(name: str) -> bool | None:
    """Whether a column of that name is row-local by the dictionary; None where the dictionary has none."""
    try:
        return entry(name).row_local
    except KeyError:
        return None
