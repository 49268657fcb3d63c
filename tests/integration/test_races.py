"""Notifications, queries, closes, expiry and the schedule race for the same orders: always one consistent end.

PN_ROUNDS says how many orders (100; check-long: 2,000). What is consistent is in consistency.py.
"""

import pytest

from payment_rounds import POLICIES, prepare
from races import Round, make_arena, numbers, rounds_wanted

ROUNDS = rounds_wanted()


@pytest.fixture
def arena(make_server, sandbox, books, messages):
    return make_arena(make_server, sandbox, books, messages, POLICIES)


@pytest.mark.limit(300 + 2 * ROUNDS)
def test_notifications_queries_and_closes_race_to_one_end(arena):
    apps = list(POLICIES)
    for batch in numbers(ROUNDS):
        rounds = [Round(number, apps[number % len(apps)]) for number in batch]
        arena.together([(prepare, arena, round_) for round_ in rounds])
        arena.race(rounds)
        arena.end()
