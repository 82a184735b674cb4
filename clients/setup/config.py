"""`node.toml`: what a partner's operator decides about its node. Nothing in it comes from the server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import Field, field_validator, model_validator

from sealscore.clients.data.column_mapping import ColumnMapping
from sealscore.clients.data.consents import ConsentTable
from sealscore.clients.data.persons import Persons
from sealscore.clients.data.sources.sources import Source
from sealscore.clients.data.sources.sql import SqlSource
from sealscore.clients.roles.bands import GROUP_BITS, MayTell
from sealscore.clients.watch.repayments import RepaymentTable
from sealscore.clients.watch.settings import Family, Reference, WatchSettings
from sealscore.shared.ledger.entries import Ceilings, Code, TellLimit
from sealscore.shared.persons.identifiers import NORMAL_FORMS
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import SERVER
from sealscore.shared.plan.schema import Name, Strict, Words
from sealscore.shared.plan.settings import Form
from sealscore.shared.plan.toml import load_as
from sealscore.shared.serving.watch import WATCH

CONFIG = "node.toml"
Port = Annotated[int, Field(ge=1024, le=65535)]

TELL_LIMITS = {
    "signal": TellLimit(month=4, life=48),
    "capacity": TellLimit(month=3, life=36),
    "flag": TellLimit(month=1, life=12),
    "reasons": TellLimit(month=8, life=32),
}
"""Bits by kind where node.toml says nothing: one level, band, flag and pair of reasons a month; a year of the first.

No watch bit is told unless node.toml has a limit of it."""


# What the operator of a node.toml from before these keys reads.
_PERSONS = {
    "data.identifier: missing; the plan needs it": "data.identifier: missing; write the own column that names the "
    'person, as identifier = "creator_id" (what approved plans have as table.person, or table.id): the ledger keeps it '
    "for the life of the data set",
    "data.form: missing; the plan needs it": f"data.form: missing; write the normal form of its cells, one of "
    f"{', '.join(NORMAL_FORMS)} (what approved plans have as alignment.identifier): the ledger keeps it for the life "
    "of the data set",
}


class ConfigError(PlanError):
    """A node.toml that cannot be used; one line for each problem."""


class NodeSection(Strict):
    """Who this node is. `sockets` is the folder of the Unix socket, by default one in the node's own folder."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
    role: Literal["lender", "platform"]
    sockets: Path | None = None

    @field_validator("name")
    @classmethod
    def _of_a_party(cls, name: str) -> str:
        if name == SERVER:
            raise ValueError("no party may have the server's name")
        return name


class ServerSection(Strict):
    """The server's partner port as host:port (an IPv6 address in brackets), and its authority's certificate file."""

    address: Annotated[str, Field(pattern=r"^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):\d{2,5}$")]
    authority: Path


class SourceSection(Strict):
    """A table of one's own: a `file` (.csv, .parquet), or a database by `url` with a `table` or a `query`.

    A password is never written here: it comes from `password_file`, PGPASSWORD or PGPASSFILE.
    """

    file: Path | None = None
    url: str | None = None
    table: str | None = None
    query: str | None = None
    password_file: Path | None = None

    @model_validator(mode="after")
    def _one(self) -> SourceSection:
        if (self.file is None) == (self.url is None):
            raise ValueError("give file, or url with table or query")
        if self.file is not None and (self.table, self.query, self.password_file) != (None, None, None):
            raise ValueError("table, query and password_file go with url")
        return self

    def source(self, base: Path) -> Source:
        """The source, paths seen from `base`; DataError for a URL that is malformed or contains a password."""
        if self.file is not None:
            return base / self.file
        password = None if self.password_file is None else base / self.password_file
        return SqlSource(self.url or "", self.table, self.query, password)


class ConsentsSection(SourceSection):
    """A table with one consent a row, and the names of its columns.

    `person` has the same identifiers as the data's person column. A row without a purpose is for every purpose;
    columns of dates may be left out where the table has none.
    """

    person: Name
    recipient: Name
    purpose: Name | None = None
    given: Name | None = None
    expires: Name | None = None
    withdrawn: Name | None = None

    def consents(self, base: Path) -> ConsentTable:
        """The table of consents."""
        days = {"given": self.given, "expires": self.expires, "withdrawn": self.withdrawn}
        return ConsentTable(self.source(base), self.person, self.recipient, self.purpose, days)


class RepaymentsSection(SourceSection):
    """A lender's own table with one row for each loan and month, and the names of its columns, for `watch`.

    `loan` has the ids of `loan open` and `loan read`, `month` a month or a day of it, `days_past_due` those at its end.
    """

    loan: Name = "loan"
    month: Name = "month"
    days_past_due: Name = "days_past_due"

    def table_of(self, base: Path) -> RepaymentTable:
        """The table of repayments."""
        return RepaymentTable(self.source(base), self.loan, self.month, self.days_past_due)


class DataSection(SourceSection):
    """The data set: its fixed id in the ledger, where it is, and one's own names of the plan's columns.

    `identifier` is the own column that names the person, `form` the normal form of its cells; the ledger keeps both for
    the life of the data set. `zone` is where days of moments begin and end (UTC if none), `missing_values` are the
    numbers that mean "no value" in own columns. `split` is the folder of a plan's list of test persons, where it has
    one. `row_local` is the operator's statement that each column outside the feature dictionary depends on its person's
    own rows alone. `protected` are the own columns whose bands lenders may get, where a plan evaluates groups by them,
    and `group_bits` how many bits of them are ever disclosed of a person, over all plans.

    `consent` says whether a record is used only with a consent that is read, whatever a plan says of it: in the own
    column `consent_column`, by default "consent", or in the table `consents`. "none" reads no consents but those of a
    column that the plan names.
    """

    id: Annotated[str, Field(min_length=1, max_length=200)]
    identifier: Name
    form: Form
    columns: dict[Name, Name] = Field(default_factory=dict)
    consent: Literal["required", "none"] = "required"
    consent_column: Name | None = None
    consents: ConsentsSection | None = None
    repayments: RepaymentsSection | None = None
    zone: str | None = None
    missing_values: dict[Name, tuple[float, ...]] = Field(default_factory=dict)
    split: Path | None = None
    row_local: bool = False
    protected: tuple[Name, ...] = ()
    group_bits: Annotated[int, Field(ge=1, le=64)] = GROUP_BITS

    @field_validator("zone")
    @classmethod
    def _a_zone(cls, zone: str | None) -> str | None:
        if zone is not None and zone not in available_timezones():
            raise ValueError("no zone of the IANA database, such as Asia/Shanghai or UTC")
        return zone

    @property
    def may_tell(self) -> MayTell:
        """What may be disclosed of protected attributes."""
        return MayTell(self.protected, self.group_bits, self.columns)

    @model_validator(mode="after")
    def _consents(self) -> DataSection:
        if self.consent_column is not None and self.consents is not None:
            raise ValueError("consents are in consent_column, or in the table of [data.consents], not in both")
        if self.consent == "none" and (self.consent_column or self.consents):
            raise ValueError('consent = "none" says that there are no consents; take out where they are, or this')
        return self

    @property
    def consents_in(self) -> str | None:
        """The own column in which consents are read; None where they have a table, or are not read."""
        if self.consent == "none" or self.consents is not None:
            return None
        return self.consent_column or "consent"

    @property
    def persons(self) -> Persons:
        """What names a person in the data set."""
        return Persons(self.identifier, self.form, self.columns)

    def own(self, base: Path) -> ColumnMapping:
        """The data as the node reads them."""
        consents = None if self.consents is None else self.consents.consents(base)
        return ColumnMapping(
            self.source(base), self.columns, consents, self.consents_in, self.persons, self.zone, self.missing_values
        )


class SuperNodeSection(Strict):
    """Flower's SuperNode: its port on this machine's loopback interface, and seconds between two polls."""

    port: Port = 9494
    poll: Annotated[float, Field(ge=0.05, le=60)] = 0.5


class ServingSection(Strict):
    """What a platform's operator lets be told of a person for scoring, by kind, in bits: in a calendar month, and ever;
    of the watch bit, whose limit is written with `quarter`, in a calendar quarter.

    An approval of a release puts it into force for that release. `retention_days` is how long a lender keeps the record
    of a decision whose signal was withdrawn. `folder` is where a lender keeps what its scorer needs, if not in the
    node's own folder, from which the path is taken. `consents` says what a platform's consents are: those of the data
    ("table"), or also each request of its own back end ("request"), which is then given on its day and ends by a
    withdrawal like any other.
    """

    consents: Literal["table", "request"] = "table"
    limits: dict[Code, TellLimit] = Field(default_factory=dict)
    retention_days: Annotated[int, Field(ge=30, le=3660)] = 1826
    folder: str | None = None

    @field_validator("limits", mode="before")
    @classmethod
    def _by_quarter(cls, limits: Any) -> Any:
        """The limit of the watch bit under the name that entries of ledgers have for the period of any kind."""
        given = limits.get(WATCH) if isinstance(limits, dict) else None
        if not isinstance(given, dict):
            return limits
        if "month" in given:
            raise ValueError("watch is told once a quarter; write it as watch = { quarter = 1, life = 8 }")
        return limits | {WATCH: {"month" if key == "quarter" else key: value for key, value in given.items()}}

    @field_validator("limits")
    @classmethod
    def _all_kinds(cls, limits: dict[str, TellLimit]) -> dict[str, TellLimit]:
        kinds = (*TELL_LIMITS, WATCH)
        if unknown := set(limits) - set(kinds):
            raise ValueError(f"unknown kinds {sorted(unknown)}; there are {', '.join(kinds)}")
        return limits

    @property
    def all_limits(self) -> dict[str, TellLimit]:
        """The limits by kind; a kind without one may not be told."""
        return TELL_LIMITS | self.limits


class WatchSection(Strict):
    """How a lender watches a release: see `WatchSettings`. `owners` are by family of measures."""

    bad_days: Annotated[int, Field(ge=1, le=365)] = 90
    reference: Reference = "release"
    reference_months: Annotated[int, Field(ge=1, le=12)] = 3
    floor: Annotated[int, Field(ge=5, le=1000)] = 10
    owners: dict[Family, Words] = Field(default_factory=dict)

    def settings(self) -> WatchSettings:
        """As a watch takes them."""
        owners = {str(family): owner for family, owner in self.owners.items()}
        return WatchSettings(self.bad_days, self.reference, self.reference_months, self.floor, owners)


class NodeConfig(Strict):
    """The whole of node.toml. `budget` is what the operator lets be spent of one person of the data set."""

    node: NodeSection
    server: ServerSection
    data: DataSection
    budget: Ceilings
    supernode: SuperNodeSection = SuperNodeSection()
    serving: ServingSection = ServingSection()
    watch: WatchSection = WatchSection()

    @classmethod
    def load(cls, path: Path) -> NodeConfig:
        """Read a node.toml.

        Raises:
            ConfigError: it is missing, no TOML, or has keys or values that are not allowed; one line for each.
        """
        try:
            return load_as(cls, path, "sealscore-node init makes one")
        except PlanError as error:
            raise ConfigError(str(path), [_PERSONS.get(line, line) for line in error.problems]) from None
