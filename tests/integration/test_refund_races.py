"""Refunds race for the same payments: by call with equal and different numbers, by retry, by policy and in the provider's
console; notices of them, questions about them. Never more goes back than was paid, and the books and the provider agree.

PN_ROUNDS says how many orders (100; check-long: 2,000).
"""

import pytest

from races import Round, make_arena, numbers, rounds_wanted
from refund_rounds import POLICIES, prepare

ROUNDS = rounds_wanted()


@pytest.fixture
def arena(make_server, sandbox, books, messages):
    return make_arena(make_server, sandbox, books, messages, POLICIES)


@pytest.mark.limit(300 + 3 * ROUNDS)
def test_refunds_race_and_never_give_back_more_than_was_paid(arena):
    apps = list(POLICIES)
    for batch in numbers(ROUNDS):
        rounds = [Round(number, apps[number % len(apps)]) for number in batch]
        arena.together([(prepare, arena, round_) for round_ in rounds])
        arena.race(rounds)
        arena.end()
