"""kill -9 of a platform's API under load: one key one token, nothing acknowledged lost, nothing under-counted."""

from __future__ import annotations

import base64
import os
import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from http_callers import HttpCallers
from platform_http import new_caller
from serving_child import ACKNOWLEDGED, PERSONS, SOCKET, Order, pair_at
from serving_kills import PATIENCE, Children, acknowledged, begin, check_platform
from small_release import TEXT, TODAY, known_at, request, watched_release

from sealscore.clients.scoring.tokens import NoToken

LENDERS, CALLERS = ("lender-1", "lender-2"), 4


@pytest.fixture(scope="module")
def children() -> Iterator[Children]:
    made = Children()
    yield made
    made.close()


class Load(HttpCallers):
    """Back ends that ask at once until the service is gone; what is acknowledged they write down.

    `sent` are the consents that were sent, by lender and key, whether or not an answer came.
    """

    def __init__(self, folder: Path, token: str, seed: int) -> None:
        super().__init__(CALLERS, self.client, self._sent_one)
        self.folder, self.sent = folder, dict[tuple[str, str], dict[str, Any]]()
        self._headers = {"authorization": f"Bearer {token}"}
        self._chosen = [random.Random(seed * CALLERS + number) for number in range(CALLERS)]
        self._persons = known_at(count=PERSONS)
        self._out = os.open(folder / ACKNOWLEDGED, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def end(self) -> None:
        """Wait until all have found that the service is gone."""
        self.join()
        os.close(self._out)

    def client(self) -> httpx.Client:
        """A back end."""
        transport = httpx.HTTPTransport(uds=str(self.folder / SOCKET))
        return httpx.Client(transport=transport, base_url="http://node", headers=self._headers, timeout=PATIENCE)

    def _sent_one(self, client: httpx.Client, number: int, turn: int) -> None:
        chosen = self._chosen[number]
        person, lender = chosen.choice(self._persons), chosen.choice(LENDERS)
        if chosen.random() < 0.05:
            client.post("/v1/withdrawals", json={"person": person, "lender": lender}).raise_for_status()
            self._said("withdrawn", lender, person)
            return
        asked = consent(person, lender, f"{person}-{chosen.randrange(3)}")
        self.sent[lender, asked["key"]] = asked
        self._took(asked, client.post("/v1/consents", json=asked))

    def _took(self, asked: dict[str, Any], answer: httpx.Response) -> None:
        found = answer.json()
        if answer.status_code == 200:
            self._said("token", asked["lender"], asked["key"], found["token"])
        elif found["code"] not in ("no-consent", "withdrawn"):
            self.wrong.append(f"{answer.status_code} {found['code']}")

    def _said(self, *words: object) -> None:
        os.write(self._out, (" ".join(map(str, words)) + "\n").encode())


def consent(person: str, lender: str, key: str) -> dict[str, Any]:
    # A key stands for one consent, so its kinds follow from it.
    kinds = ["capacity"] if key.endswith("0") else []
    given = {"key": key, "person": person, "lender": lender, "release": watched_release().hash}
    return given | {"kinds": kinds, "text": TEXT, "language": "en"}


def listening(folder: Path) -> None:
    """Wait until the service answers; a socket of the one before it may still lie there."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(folder / SOCKET))
            except OSError:
                time.sleep(0.005)
            else:
                return
    raise AssertionError("the service does not listen")


def kills(children: Children, tmp_path: Path, count: int, seed: int) -> None:
    """So many kills at random moments under load, with what must hold after each; a few in one folder."""
    chosen, answered = random.Random(seed), 0
    for number in range(count):
        if number % 5 == 0:
            folder = begin(tmp_path / f"api-{number}")
            token, sent = new_caller(folder), {}
        load = Load(folder, token, seed=chosen.randrange(2**20))
        order = Order(str(folder), "serve", seed=0)
        beginner = threading.Thread(target=lambda folder=folder, load=load: (listening(folder), load.begin()))
        beginner.start()
        before = len(acknowledged(folder))
        children.killed(order, answers=chosen.randrange(1, 40), wait=chosen.random() * 0.02)
        beginner.join()
        load.end()
        assert load.wrong == []
        answered += len(acknowledged(folder)) - before
        sent |= load.sent
        check_platform(folder)
        check_withdrawals(folder)
        if number % 5 == 4:
            check_asked_again(folder, sent)
    assert answered > count


def check_withdrawals(folder: Path) -> None:
    """No withdrawal that was acknowledged is lost."""
    pair = pair_at(folder)
    with pair.store.transaction() as own:
        for what, *said in acknowledged(folder):
            if what == "withdrawn":
                assert own.withdrew(said[1], said[0]) == str(TODAY)
    pair.close()


def check_asked_again(folder: Path, sent: dict[tuple[str, str], dict[str, Any]]) -> None:
    """Whatever was sent, answered or not, has one token afterwards: the acknowledged one, if there was any."""
    pair, tokens = pair_at(folder), dict[tuple[str, str], set[bytes]]()
    for what, *said in acknowledged(folder):
        if what == "token":
            tokens.setdefault((said[0], said[1]), set()).add(base64.urlsafe_b64decode(said[2]))
    for (lender, key), asked in sent.items():
        kinds = frozenset({"signal", *asked["kinds"]})
        for _ in range(2):
            try:
                token = pair.maker().make(request(asked["person"], key, lender, kinds=kinds), TODAY)
            except NoToken as error:
                assert error.code in {"no-consent", "withdrawn"}  # noqa: PT017 - withdrawn meanwhile
                continue
            tokens.setdefault((lender, key), set()).add(token)
    assert all(len(found) == 1 for found in tokens.values())
    pair.close()
    check_platform(folder)


def test_killed_under_load(children: Children, tmp_path: Path):
    kills(children, tmp_path, 10, seed=1)


@pytest.mark.long
def test_killed_under_load_two_hundred_times(children: Children, tmp_path: Path):
    kills(children, tmp_path, 200, seed=2)
