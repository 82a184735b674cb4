"""What the operators of a town's server and nodes type, for tests of serving."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from homes import Said
from serving_town import ServingTown
from vertical_builders import PARTIES

from sealscore.clients.commands.run import _router
from sealscore.clients.node.plan_router import PlanRouter


class Partners:
    """A town, and the commands that its operators type."""

    def __init__(self, town: ServingTown, node: Callable[..., Said], server: Callable[..., Said]) -> None:
        self.town, self._node, self._server = town, node, server

    def node(self, name: str, *arguments: object) -> Said:
        """`sealscore-node` at a party."""
        return self._node(*arguments, "--home", self.town.folder / name)

    def server(self, *arguments: object) -> Said:
        """`sealscore-server`."""
        return self._server(*arguments, "--home", self.town.server.folder)

    def file(self, name: str) -> Path:
        """A file that operators pass each other."""
        return self.town.folder / name

    def good(self, name: str, *arguments: object) -> Said:
        """A command at a party that must end well."""
        said = self.node(name, *arguments)
        assert said.code == 0, said.text
        return said

    def release(self, name: str = "first", *options: object) -> Path:
        """A release, made by the server's command."""
        said = self.server("release", "new", self.town.plan.name, "--name", name, *options)
        assert said.code == 0, said.text
        return self.town.server.releases / name

    def prepared(self, platforms: tuple[str, ...] = ("video-1", "wallet"), *options: object) -> Path:
        """A release that lender-1 scores with and these platforms make tokens under, with keys exchanged."""
        folder = self.release("first", *options)
        for name in ("lender-1", *platforms):
            # So few persons leave towers in the noise now and then.
            self.good(name, "release", "approve", folder, "--yes", "--unranked")
        self.good("lender-1", "release", "use", "first")
        self.exchange_keys(platforms)
        return folder

    def exchange_keys(self, platforms: tuple[str, ...], lender: str = "lender-1") -> None:
        """The month's serving key of a lender, taken by platforms."""
        self.good(lender, "serving-key", "make", "-o", self.file("key.txt"))
        for name in platforms:
            self.good(name, "serving-key", "take", self.file("key.txt"), "--lender", lender)

    def token(self, platform: str, person: str, key: str = "k1", *options: object, lender: str = "lender-1") -> Said:
        """A token, written to token-PLATFORM-KEY.txt."""
        text = self.file("consent.txt")
        text.write_text("I agree that my channel is scored.", encoding="utf-8")
        output = self.file(f"token-{platform}-{key}.txt")
        asked = ["token", "new", "first", "--lender", lender, "--person", person, "--text", text, "--key", key]
        return self.node(platform, *asked, "-o", output, *options)

    def tokens(self, *names: str) -> list[str]:
        """The content of token files, as an application carries them."""
        return [self.file(f"token-{name}.txt").read_text("ascii").strip() for name in names]

    def score(self, application: Any, lender: str = "lender-1") -> Said:
        """Score an application."""
        return self.node(lender, "score", self.town.write("application.json", application))

    def scored(self, application: Any, lender: str = "lender-1") -> dict[str, Any]:
        """The answer to an application."""
        said = self.score(application, lender)
        assert said.code == 0, said.text
        found: dict[str, Any] = json.loads(said.out.strip().splitlines()[-1])
        return found

    def shared_person(self, *parties: str) -> tuple[str, int]:
        """A person whom all of these parties know, and its row at lender-1."""
        records = self.town.records()
        for row, person in enumerate(records["lender-1"].person):
            if all(person in records[name].person for name in parties):
                return person, row
        raise AssertionError("nobody is at all of them")


@contextmanager
def routers(town: ServingTown) -> Iterator[dict[str, PlanRouter]]:
    """The nodes of all parties, as `sealscore-node start` makes them."""
    with ExitStack() as stack:
        found = {}
        for name in PARTIES:
            node = town.node(name)
            ledger, disclosures = town.ledger(name), node.disclosure_store()
            found[name] = _router(node, node.config(), ledger, disclosures)
            stack.callback(ledger.close)
            stack.callback(disclosures.close)
            stack.callback(found[name].close)
        yield found
