"""A node's data under its plans, as `node.toml` says where they are: read when its operator is there to see the faults.

In a run the server sees what a node does. So data are checked before a plan is approved and before a node starts, and
the operator alone learns what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sealscore.clients.data import DataError, Given, Loaded, in_words, load, read_given
from sealscore.clients.data.column_mapping import ColumnMapping
from sealscore.clients.features.dictionary.row_local import check_row_local
from sealscore.clients.monitoring.own_passing import OwnPassing
from sealscore.clients.monitoring.passages import MonitoredLoans
from sealscore.clients.setup.config import NodeConfig
from sealscore.clients.setup.node_dir import NodeDir
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import Plan


def loader(node_dir: NodeDir, config: NodeConfig) -> Callable[[Plan], Records]:
    """How the node reads its records under a plan; what it returns raises DataError for data that cannot be used."""
    return lambda plan: loaded(node_dir, config, plan).records


def loaded(node_dir: NodeDir, config: NodeConfig, plan: Plan) -> Loaded:
    """A node's records under a plan, and how many rows they were.

    Raises:
        DataError: the data cannot be used.
    """
    split = None if config.data.split is None else node_dir.folder / config.data.split
    check_row_local(plan, config.node.name, config.data.row_local)
    return load(_source(node_dir, config, plan), plan, config.node.name, split)


def given_reader(node_dir: NodeDir, config: NodeConfig) -> Callable[[Plan], Given]:
    """How it reads by themselves who is in its data and the consents."""
    return lambda plan: read_given(_source(node_dir, config, plan), plan, config.node.name)


def _source(node_dir: NodeDir, config: NodeConfig, plan: Plan) -> ColumnMapping:
    """The data as they are read under a plan: one of counts takes the months of loans from the table of repayments."""
    own, named = config.data.own(node_dir.folder), config.data.repayments
    if plan.monitoring is None:
        return own
    return MonitoredLoans.of(own, None if named is None else named.table_of(node_dir.folder))


def own_passing(node_dir: NodeDir, plan: Plan) -> list[tuple[str, str]]:
    """(what, words) lines on what the own repayments say of the guess of a plan of counts; none where they cannot.

    Data that cannot be read say so at the approval.
    """
    named = node_dir.config().data.repayments
    if plan.monitoring is None or named is None:
        return []
    try:
        found = OwnPassing.of(plan, named.table_of(node_dir.folder).histories())
    except (DataError, PlanError):
        return []
    if found is None:
        return []
    lines = [("own loans", found.words)]
    return lines if found.warning is None else [*lines, ("warning", found.warning)]


def faults(node_dir: NodeDir, config: NodeConfig, plans: Iterable[Plan]) -> list[tuple[Plan, DataError]]:
    """Of these plans those under which the data cannot be used, and what is wrong; reads the data for each."""
    read, found = loader(node_dir, config), []
    for plan in plans:
        try:
            in_words(read, plan)
        except DataError as error:
            found.append((plan, error))
    return found
