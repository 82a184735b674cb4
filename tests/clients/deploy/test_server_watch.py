"""A server that is away, and a clock that goes off, are found while the SuperNode tries again without a word."""

from __future__ import annotations

from sealscore.clients.deploy.connection import Trouble
from sealscore.clients.deploy.server_watch import ASK, CLOCK, ServerWatch

AWAY = 1_900_000_000.0
REFUSED, OFF = Trouble("unreachable", "cannot be reached"), Trouble("clock", "9 s behind")


class Server:
    """What the watch sees: since when nothing came, and what the server says when it is asked."""

    def __init__(self) -> None:
        self.since: float | None = None
        self.found: Trouble | None = None
        self.asked, self.now, self.told = 0, 0.0, list[str]()
        self.watch = ServerWatch(lambda: self.since, self.ask, self.told.append, lambda: self.now)

    def ask(self) -> Trouble | None:
        self.asked += 1
        return self.found

    def look(self, after: float) -> Trouble | None:
        self.now += after
        self.watch.look()
        return self.watch.trouble


def test_while_the_server_answers_it_is_asked_for_the_clock_alone():
    server = Server()
    assert server.look(CLOCK - 1) is None
    assert server.asked == 0
    server.found = REFUSED  # by the one question, not by the SuperNode
    assert server.look(1) is None
    server.found = OFF
    assert server.look(CLOCK) == OFF
    assert server.look(ASK / 2) == OFF
    server.found = None
    assert server.look(ASK) is None
    assert server.told == [str(OFF), "the server answers again"]


def test_one_that_is_away_is_asked_why_and_the_trouble_says_since_when():
    server = Server()
    server.since, server.found = AWAY, REFUSED
    found = server.look(ASK)
    assert found is not None
    assert found.code == "unreachable"
    assert "2030-03-17 17:46:40" in found.text
    for _ in range(5):
        server.look(ASK)
    assert (server.asked, len(server.told)) == (6, 1)
    server.since = None
    assert server.look(0.1) is None
    assert len(server.told) == 2


def test_one_that_answers_others_alone_is_a_trouble_as_well():
    server = Server()
    server.since = AWAY
    found = server.look(ASK)
    assert found is not None
    assert found.code == "silent"


def test_one_that_is_back_while_it_is_asked_is_no_trouble():
    server = Server()
    server.since = AWAY
    silent = iter([AWAY, None])
    server.watch._silent = lambda: next(silent)
    assert server.look(ASK) is None
    assert server.told == []
