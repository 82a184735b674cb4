"""`sealscore-node init`: keys, an enrolment card and a commented node.toml, in a folder of the node's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel, ValidationError

from sealscore.clients.commands.terminal import BAD_INPUT, HERE, Folder, console, fail
from sealscore.clients.setup.node_dir import PASSPHRASE, NodeDir
from sealscore.shared.plan.errors import PlanError, explain
from sealscore.shared.plan.toml import parse_toml
from sealscore.shared.text.terminal import foreign

TEMPLATE = """\
# The configuration of a Sealscore node. Paths are seen from this folder. Nothing here comes from the server.

[node]
name = "{name}"
role = "{role}"
# sockets = "/run/sealscore"       # folder of the Unix socket, of mode 0700; by default a folder here

[server]
address = "{address}"              # the server's partner port, host:port
authority = "ca.pem"               # its certificate authority: the server's operator gives it to you

[data]
id = "{name}"                      # the name of this data set in the ledger; it never changes
file = "{file}"                    # .csv or .parquet; or a database:
# url = "postgresql://reader@db.example:5432/credit"
# table = "scoring.{table}"        # or query = "SELECT ..."
# password_file = "db.password"    # one line, mode 0600; or PGPASSWORD, PGPASSFILE in the environment
identifier = "creator_id"          # your own column that names the person; the ledger keeps it for good
form = "creator-id"                # normal form of its cells: exact, creator-id, phone or national-id; kept for good
# zone = "Asia/Shanghai"           # where the days of moments with an offset begin and end; by default UTC
# split = "splits"                 # folder of the plan's list of test persons, if it has one
# row_local = true                 # your word: own columns depend on their person's own rows alone, no rank, no mean
consent = "required"               # a record is used with a consent that is read, whatever a plan says; or "none"
# consent_column = "consent"       # your own column of consents, by default this; or a table of them, below
{bands}
# Names of your own columns, where they differ from the plan's.
[data.columns]
# {example} = "{own}"

# Consents from a table of their own, one a row, in place of a column of the data.
# [data.consents]
# file = "consents.csv"
# person = "creator_id"
# recipient = "recipient"          # a party of the plan, or "federation"
# purpose = "purpose"              # as the plan's purpose_code: credit-scoring
# given = "given_at"
# expires = "expires"
# withdrawn = "withdrawn_at"

# What may be spent of one person of this data set, over all plans and for ever. The node checks it against every plan.
[budget]
epsilon = 3.0
delta = 1e-5
signal_bits = 4                    # of one person's signal, told in training, for ever: each new tower takes 4
#                                    More tell more: of a public table a lender that tries everything names all binned
#                                    features of 11 % of persons after 4 bits, of 21 % after 8. A head that is trained
#                                    again (sealscore-server plan retrain) takes none.
{labels}
# [budget.purposes]
# credit-scoring = 3.0

[supernode]
port = 9494                        # on this machine only
poll = 0.5                         # longest wait between two questions to the server, s
"""

BANDS = """\
# protected = ["residence"]        # your own columns whose bands lenders may get, for fairness; by default none
# group_bits = 2                   # the most bits of them that are ever disclosed of a person
"""


def init(
    name: Annotated[str, typer.Option(help="The node's name, as plans will know it: a-z, 0-9, '.', '_', '-'.")],
    role: Annotated[str, typer.Option(help="lender or platform.")],
    server: Annotated[str, typer.Option(help="The server's partner port, host:port.")] = "sealscore.example:9481",
    authority: Annotated[
        Path | None, typer.Option(help="The server's ca.pem, to be copied into the folder; or copy it there later.")
    ] = None,
    folder: Folder = HERE,
) -> None:
    """Make keys, an enrolment card and a node.toml.

    With SEALSCORE_PASSPHRASE in the environment the keys are put under that passphrase.
    """
    from sealscore.clients.deploy.node_key import make_node_key
    from sealscore.clients.deploy.socket_path import socket_fault
    from sealscore.clients.setup.config import NodeConfig, NodeSection, ServerSection
    from sealscore.shared.identity.enrolment import Enrolment

    if role not in ("lender", "platform"):
        raise typer.BadParameter(f"{role!r}: a node is a lender or a platform", param_hint="--role")
    node_dir = NodeDir(folder.resolve())
    if node_dir.config_file.exists():
        fail(f"{node_dir.config_file}: this folder has a node already; name another folder", BAD_INPUT)
    _validate({"name": name, "role": role}, NodeSection)
    _validate({"address": server, "authority": "ca.pem"}, ServerSection)
    text = _text(name, role, server)
    config = NodeConfig.model_validate(parse_toml(text, str(node_dir.config_file)))
    if (sockets := node_dir.sockets(config)) and (fault := socket_fault(sockets, name)):
        fix = "name another folder with --home, such as /var/lib/sealscore/node"
        fail(f"{foreign(sockets)}: this path {fault}; {fix}", BAD_INPUT)
    certificate = None if authority is None else _certificate(authority)
    identity = node_dir.create(name, role)
    key = make_node_key(node_dir.supernode_key)
    enrolment = Enrolment.of(identity, key)
    node_dir.card_file.write_text(enrolment.text, encoding="ascii")
    if certificate is not None:
        (node_dir.folder / "ca.pem").write_bytes(certificate)
    node_dir.config_file.write_text(text, encoding="utf-8")
    console.print(f"[bold]{name}[/bold] is a {role} now; its folder is {foreign(node_dir.folder)}")
    console.print(f"  send {node_dir.card_file.name} to the server's operator and to every peer")
    console.print(f"  read them this fingerprint over another channel: [bold]{identity.card.fingerprint}[/bold]")
    if certificate is None:
        console.print("  copy the server's ca.pem into the folder")
    console.print("  trust the server's card and your peers' ([bold]sealscore-node peer trust[/bold])")
    console.print(f"  write {node_dir.config_file.name} (its \\[budget] goes into the ledger at the first check)")
    console.print("  then run [bold]sealscore-node check[/bold]")
    console.print(f"Keep a copy of keys/ in a safe place. (A passphrase for them: {PASSPHRASE}.)", style="dim")


def _text(name: str, role: str, server: str) -> str:
    lender = role == "lender"
    return TEMPLATE.format(
        name=name,
        role=role,
        address=server,
        file="loans.parquet" if lender else "creators.parquet",
        table="loans" if lender else "creators",
        example="bureau_score" if lender else "followers",
        own="BUREAU_SCORE" if lender else "fans",
        bands="" if lender else BANDS,
        labels="label_epsilon = 2.0                # over all releases of a label to platforms" if lender else "",
    )


def _certificate(path: Path) -> bytes:
    from cryptography import x509

    try:
        content = path.read_bytes()
        x509.load_pem_x509_certificate(content)
    except OSError as error:
        fail(f"{path}: cannot be read ({error.strerror}); the server's operator gives you the file ca.pem", BAD_INPUT)
    except ValueError:
        fail(f"{path}: contains no certificate; ask the server's operator for the file ca.pem", BAD_INPUT)
    return content


def _validate(data: dict[str, Any], model: type[BaseModel]) -> None:
    try:
        model.model_validate(data)
    except ValidationError as error:
        raise PlanError("sealscore-node init", explain(error, model)) from None
