"""The scorer over real sockets: answers, rights, refusals without a value, and what it says of itself."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from raw_http import raw, request, status_of
from scorer_home import ScorerHome, ScorerProcess, application, new_home, pair_of, release_folder

from sealscore.clients.http.problems import PROBLEM_TYPE
from sealscore.shared.serving.release import Release

CANARY = "Zx9-canary-77"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> ScorerHome:
    return new_home(tmp_path_factory.mktemp("scorer") / "home")


@pytest.fixture(scope="module")
def all_rights(home: ScorerHome) -> dict[str, str]:
    return home.caller()


@pytest.fixture(scope="module")
def scorer(home: ScorerHome) -> Iterator[ScorerProcess]:
    made = ScorerProcess(home).ready()
    yield made
    assert made.end() == 0
    assert CANARY not in made.said()


@pytest.fixture
def client(scorer: ScorerProcess, all_rights: dict[str, str]) -> Iterator[httpx.Client]:
    with scorer.client(headers=all_rights) as made:
        yield made


def problem(answer: httpx.Response) -> str:
    """The code of a problem document, which says what its status says."""
    assert answer.headers["content-type"] == PROBLEM_TYPE
    found = answer.json()
    assert found["status"] == answer.status_code
    assert found["title"]
    assert found["fix"]
    assert CANARY not in answer.text
    return str(found["code"])


def test_the_same_body_gets_the_same_answer_and_another_a_new_version(client: httpx.Client):
    def scored(**changes: Any) -> dict[str, Any]:
        answer = client.post("/v1/scores", json=application("versions", **changes))
        assert answer.status_code == 200
        return dict(answer.json())

    first = scored()
    assert scored() == first
    assert first["version"] == 1
    second = scored(features={"income": 10.0, "late": 2})
    assert (second["version"], "alarm" in second) == (2, False)
    third = scored(features={"income": 20.0, "late": 2})
    assert (third["version"], third["alarm"]) == (3, "score-shopping")
    assert scored(features={"income": 10.0, "late": 2}) == second


def test_a_token_counts_and_serves_one_application(
    client: httpx.Client, home: ScorerHome, tmp_path_factory: pytest.TempPathFactory
):
    pair = pair_of(tmp_path_factory.mktemp("pair"), Release.load(release_folder()))
    person = "p00001"
    token = pair.token(person, "k1")
    answer = client.post("/v1/scores", json=application(person, token)).json()
    assert "used" in {one["status"] for one in answer["signals"] if one.get("kind") == "wallet"}
    other = client.post("/v1/scores", json=application(person, token, application_id="another")).json()
    assert "other-application" in {one["status"] for one in other["signals"]}
    bought = client.post("/v1/scores", json=application("p00002", pair.token("p00003", "k2"))).json()
    assert "other-person" in {one["status"] for one in bought["signals"]}
    pair.close()


def test_an_application_that_is_refused_uses_up_no_token(
    client: httpx.Client, tmp_path_factory: pytest.TempPathFactory
):
    """Two tokens of one platform are refused; each of them serves another application afterwards."""
    pair = pair_of(tmp_path_factory.mktemp("pair"), Release.load(release_folder()))
    first, second = pair.token("p00005", "k1"), pair.token("p00005", "k2")
    answer = client.post("/v1/scores", json=application("p00005", first, second, application_id="both"))
    assert (answer.status_code, problem(answer)) == (422, "two-tokens")
    again = client.post("/v1/scores", json=application("p00005", first, application_id="one")).json()
    assert "used" in {one["status"] for one in again["signals"]}
    pair.close()


def test_a_batch_is_answered_whole_or_not_at_all(client: httpx.Client):
    several = [application(f"batch-{number}") for number in range(5)]
    answers = client.post("/v1/scores:batch", json={"applications": several}).json()["answers"]
    assert [one["application_id"] for one in answers] == [one["application_id"] for one in several]
    spoilt = [*[application(f"spoilt-{number}") for number in range(3)], application("x", features={"income": CANARY})]
    assert problem(client.post("/v1/scores:batch", json={"applications": spoilt})) == "features"
    # None of them was: the first of them is scored now, as a first version.
    assert client.post("/v1/scores", json=spoilt[0] | {"product": "other"}).json()["version"] == 1
    for wrong in ([], {"applications": []}, {"applications": {}}, {"applications": several, "x": 1}, 7):
        assert problem(client.post("/v1/scores:batch", json=wrong)) == "malformed"
    assert problem(client.post("/v1/scores:batch", json={"applications": [{}] * 501})) == "malformed"


def test_an_answer_can_be_computed_again(client: httpx.Client):
    score = client.post("/v1/scores", json=application("again")).json()["score_id"]
    assert client.post(f"/v1/replay/{score}").json()["result"] == "same"
    for unknown in ("0" * 32, CANARY, "..%2f..%2fetc", "%00", "a" * 500):
        answer = client.post(f"/v1/replay/{unknown}")
        assert (answer.status_code, problem(answer)) in {(404, "no-such-score"), (404, "not-found")}


@pytest.mark.parametrize("right", ["score", "batch", "replay", "features", "metrics"])
def test_a_caller_can_do_what_it_has_the_right_to(scorer: ScorerProcess, home: ScorerHome, right: str):
    header = home.caller(f"only-{right}", right)
    calls = {
        "score": ("POST", "/v1/scores", application(f"right-{right}")),
        "batch": ("POST", "/v1/scores:batch", {"applications": [application(f"right-{right}")]}),
        "replay": ("POST", f"/v1/replay/{'0' * 32}", None),
        "features": ("POST", "/v1/features", {}),
        "metrics": ("GET", "/metrics", None),
    }
    with scorer.client() as client:
        for wanted, (method, path, body) in calls.items():
            assert client.request(method, path, json=body).status_code == 401
            answer = client.request(method, path, json=body, headers=header)
            assert (answer.status_code == 403) == (wanted != right)
        assert client.get("/openapi.json").status_code == 401
        assert client.get("/openapi.json", headers=header).status_code == 200
        assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (f'{{"{CANARY}": 1}}', "malformed"),
        (f'{{"{CANARY}": 1, "{CANARY}": 2}}', "malformed"),
        (f'"{CANARY}"', "malformed"),
        (f'{{"application_id": "{CANARY}"', "malformed"),
        (json.dumps(application(application_id=CANARY * 100)), "malformed"),
        (json.dumps(application(CANARY, as_of=CANARY)), "malformed"),
        (json.dumps(application(CANARY, purpose=CANARY)), "purpose"),
        (json.dumps(application(CANARY, as_of="2999-01-01")), "clock"),
        (json.dumps(application(CANARY, features={CANARY: 1, "income": 1.0})), "features"),
        (json.dumps(application(CANARY, features={"income": CANARY})), "features"),
        (json.dumps(application(CANARY, features={})), "features"),
        (json.dumps(application(CANARY, product={CANARY: CANARY})), "malformed"),
        (json.dumps(application(CANARY, features={"income": {CANARY: CANARY}})), "features"),
        (json.dumps(application(CANARY, features={"income": 1e308})), "features"),
        (json.dumps(application(CANARY, tokens=[CANARY + "!"])), "malformed"),
        (json.dumps(application(CANARY, tokens=["A" * 30_000])), "malformed"),
        (json.dumps(application("\ud800" + CANARY)), "malformed"),
        (json.dumps(application(CANARY)).replace("52.5", "NaN"), "malformed"),
        (json.dumps(application(CANARY)).replace("52.5", "1e999"), "features"),
        (json.dumps(application(CANARY)).replace("52.5", "9" * 5000), "malformed"),
        (json.dumps(application(CANARY)).replace("52.5", nested(50)), "features"),
        (json.dumps(application(CANARY)).replace("52.5", nested(50_000)), "malformed"),
    ],
)
def test_what_is_wrong_is_named_without_a_value(client: httpx.Client, body: str, expected: str):
    answer = client.post("/v1/scores", content=body.encode(), headers={"content-type": "application/json"})
    assert problem(answer) == expected
    assert 400 <= answer.status_code < 500


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"/{CANARY}", 404),
        ("GET", "//healthz", 404),
        ("GET", "/healthz/", 404),
        ("GET", "/../healthz", 404),
        ("GET", "/v1/../healthz", 404),
        ("GET", "/%2e%2e/healthz", 404),
        ("GET", "/docs", 404),
        ("POST", "/v1/scores/", 404),
        ("POST", "/v1/scores%3Abatch", 422),
        ("PUT", "/v1/scores", 405),
        ("GET", "/v1/scores:batch", 405),
        ("OPTIONS", "/v1/scores", 405),
        ("TRACE", "/healthz", 405),
        (CANARY.replace("-", ""), "/healthz", 400),
    ],
)
def test_paths_and_methods_that_are_none(
    scorer: ScorerProcess, all_rights: dict[str, str], method: str, path: str, status: int
):
    header = f"authorization: {all_rights['authorization']}"
    answer = raw(scorer.port, request(method, path, header, body=b'{"applications":0'))
    found = status_of(answer)
    assert found == status or (status == 422 and found == 400)
    assert PROBLEM_TYPE.encode() in answer
    assert CANARY.encode() not in answer


def test_many_at_once_are_committed_in_fewer_commits_and_each_is_in_the_log(
    scorer: ScorerProcess, home: ScorerHome, all_rights: dict[str, str]
):
    def gauge(name: str) -> float:
        with scorer.client(headers=all_rights) as one:
            lines = one.get("/metrics").text.splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith(f"sealscore_scorer_{name} ")))

    before = gauge("commits_total"), gauge("answers_committed_total")
    answers: list[dict[str, Any]] = []

    def ask(caller: int) -> None:
        with scorer.client(headers=all_rights) as one:
            answers.extend(one.post("/v1/scores", json=application(f"at-once-{caller}-{n}")).json() for n in range(20))

    threads = [threading.Thread(target=ask, args=(caller,)) for caller in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one["score_id"] for one in answers}) == 320
    assert gauge("answers_committed_total") - before[1] == 320
    assert gauge("commits_total") - before[0] < 320
    with scorer.client(headers=all_rights) as one:
        assert {one.post(f"/v1/replay/{score['score_id']}").json()["result"] for score in answers[:20]} == {"same"}


def test_counts_have_nothing_of_a_person(client: httpx.Client):
    client.post("/v1/scores", json=application(CANARY))
    client.get(f"/{CANARY}")
    text = client.get("/metrics").text
    assert CANARY not in text
    for line in text.splitlines():
        assert line.startswith("# TYPE sealscore_scorer_") or float(line.rsplit(" ", 1)[1]) >= 0


def test_its_description_has_an_application_that_it_answers(client: httpx.Client):
    found = client.get("/openapi.json").json()
    assert found["openapi"].startswith("3.")
    bodies = {
        path: found["paths"][path]["post"]["requestBody"]["content"] for path in ("/v1/scores", "/v1/scores:batch")
    }
    for path, content in bodies.items():
        assert client.post(path, json=content["application/json"]["example"]).status_code == 200
    features = found["components"]["schemas"]["Application"]["properties"]["features"]
    assert features["additionalProperties"] is False
    assert "income" in features["properties"]


def test_a_line_break_in_what_is_sent_begins_no_line_of_the_log(scorer: ScorerProcess, client: httpx.Client):
    said = scorer.said()
    client.post("/v1/scores", json=application("x\n2027-01-01T00:00:00Z INFO sealscore.scorer: forged"))
    client.get("/x%0a2027-01-01T00:00:00Z%20INFO%20forged")
    client.post("/v1/scores", json={}, headers={"authorization": "Bearer x\tforged"})
    assert "forged" not in scorer.said()[len(said) :]
