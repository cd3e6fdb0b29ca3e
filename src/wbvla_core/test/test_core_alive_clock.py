"""A pause of the machine is nobody's fault; a hung loop is."""

import pytest
from wbvla_core.alive_clock import AliveClock

MS = 1_000_000


def clock() -> AliveClock:
    return AliveClock(5 * MS, 20 * MS, 100 * MS)


def test_steady_ticks_follow_the_monotonic_clock():
    alive = clock()
    assert [alive.tick(t * MS) for t in (0, 5, 10, 25)] == [0, 5 * MS, 10 * MS, 25 * MS]
    assert alive.pauses == 0


def test_a_pause_counts_as_one_period():
    alive = clock()
    alive.tick(0)
    assert alive.tick(87 * MS) == 5 * MS
    assert alive.at(90 * MS) == 8 * MS and alive.pauses == 1


def test_a_hung_loop_is_not_forgiven():
    alive = clock()
    alive.tick(0)
    assert alive.tick(150 * MS) == 150 * MS


def test_limits_out_of_order_are_refused():
    with pytest.raises(ValueError, match="period < pause < limit"):
        AliveClock(5 * MS, 4 * MS, 100 * MS)
