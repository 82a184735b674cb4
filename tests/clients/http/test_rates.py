"""How much each caller may send: a second's worth at once, and what it owes comes back with the time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sealscore.clients.http.problems import HttpProblem
from sealscore.clients.http.rates import CallerRates


def taken(rates: CallerRates, caller: str, count: int = 1) -> int:
    """Seconds to wait, 0 where it was let in."""
    try:
        rates.take(caller, count)
    except HttpProblem as problem:
        return int(problem.headers["retry-after"]) if (problem.status, problem.code) == (429, "too-many") else -1
    return 0


def test_one_callers_flood_is_its_own():
    now = [0.0]
    rates = CallerRates(3.0, lambda: now[0])
    assert [taken(rates, "wild") for _ in range(5)] == [0, 0, 0, 1, 1]
    assert taken(rates, "other") == 0
    now[0] += 0.5
    assert [taken(rates, "wild") for _ in range(2)] == [0, 1]


def test_a_batch_is_let_in_whole_and_owed():
    now = [0.0]
    rates = CallerRates(10.0, lambda: now[0])
    assert taken(rates, "a", 500) == 0
    wait = taken(rates, "a")
    assert wait == 50
    now[0] += wait - 1
    assert taken(rates, "a") == 1
    now[0] += 1
    assert taken(rates, "a") == 0


def test_without_a_limit_nothing_is_counted():
    rates = CallerRates()
    assert not any(taken(rates, "a", 10**6) for _ in range(100))


@given(most=st.floats(0.01, 1e4), steps=st.lists(st.tuples(st.floats(0, 10), st.integers(1, 500)), max_size=60))
def test_over_any_time_no_more_than_the_limit_and_one_request(most: float, steps: list[tuple[float, int]]):
    now, let_in, last = [0.0], 0, 0
    rates = CallerRates(most, lambda: now[0])
    for pause, count in steps:
        now[0] += pause
        if not taken(rates, "a", count):
            let_in, last = let_in + count, count
            assert let_in - last <= max(most, 1.0) + most * now[0] + 1e-6


def rest(rates: CallerRates, caller: str, count: int) -> int:
    """Seconds to wait for the rest of a request, 0 where it was let in."""
    try:
        rates.take_rest(caller, count)
    except HttpProblem as problem:
        return int(problem.headers["retry-after"])
    return 0


def test_the_rest_of_a_request_is_owed_and_of_two_that_were_begun_one_is_let_in():
    now = [0.0]
    rates = CallerRates(2.0, lambda: now[0])
    assert (taken(rates, "a"), taken(rates, "a")) == (0, 0)
    assert (rest(rates, "a", 9), rest(rates, "a", 9)) == (0, 5)
    # One that has no rest was counted whole.
    assert rest(rates, "a", 0) == 0
    now[0] = 4.9
    assert taken(rates, "a") == 1
    now[0] = 5.0
    assert taken(rates, "a") == 0
