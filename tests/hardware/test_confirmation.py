"""One-time codes: good once, for a time, for one stop."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from redbutton.estop import ManualClock
from redbutton.hardware.confirmation import WRONG_LIMIT, Confirmations


def numbers(*values: int) -> Callable[[int], int]:
    """A source of randomness that is known beforehand."""
    left = iter(values)

    def randbelow(limit: int) -> int:
        assert limit == 10**6
        return next(left)

    return randbelow


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(5.0)


@pytest.fixture
def codes(clock: ManualClock) -> Confirmations:
    return Confirmations(60.0, clock, numbers(7, 123_456, 999_999, 1, 2, 3))


def test_a_code_is_six_digits_and_good_once(codes: Confirmations) -> None:
    code = codes.issue(1)
    assert code == "000007"
    assert codes.use(code, 1) == ""
    assert codes.use(code, 1) == "replayed"
    assert codes.use(code, 2) == "replayed"


def test_an_unknown_code_is_refused_and_leaves_the_right_one_good(codes: Confirmations) -> None:
    code = codes.issue(1)
    assert codes.use("123456", 1) == "unknown"
    assert codes.use(code, 1) == ""


@pytest.mark.parametrize("junk", [None, 7, 7.0, b"000007", ["000007"], {}, "", "٠٠٠٠٠٧", " 000007", "7"])
def test_what_is_no_code_is_unknown(codes: Confirmations, junk: Any) -> None:
    codes.issue(1)
    assert codes.use(junk, 1) == "unknown"


def test_nothing_is_good_before_a_code_was_issued(codes: Confirmations) -> None:
    assert codes.use("000007", 0) == "unknown"


@pytest.mark.parametrize(("waited_s", "answer"), [(60.0, ""), (60.1, "expired"), (math.nan, "expired")])
def test_a_code_is_good_for_a_time(codes: Confirmations, clock: ManualClock, waited_s: float, answer: str) -> None:
    code = codes.issue(1)
    clock.set(clock() + waited_s)
    assert codes.use(code, 1) == answer
    clock.set(5.0)
    assert codes.use(code, 1) == ("replayed" if answer == "" else "expired")


def test_a_clock_that_ran_back_makes_a_code_expire(codes: Confirmations, clock: ManualClock) -> None:
    code = codes.issue(1)
    clock.set(1.0)
    assert codes.use(code, 1) == "expired"


def test_a_new_stop_voids_the_code_even_if_the_old_number_comes_back(codes: Confirmations) -> None:
    code = codes.issue(1)
    assert codes.use(code, 2) == "expired"
    assert codes.use(code, 1) == "expired"


def test_asking_again_voids_the_earlier_code(codes: Confirmations) -> None:
    first, second = codes.issue(1), codes.issue(1)
    assert codes.use(first, 1) == "expired"
    assert codes.use(second, 1) == ""


def test_guessing_voids_the_code(codes: Confirmations) -> None:
    code = codes.issue(1)
    for guess in range(WRONG_LIMIT):
        assert codes.use(f"{500_000 + guess}", 1) == "unknown"
    assert codes.use(code, 1) == "expired"


def test_wrong_codes_are_counted_anew_for_each_code(codes: Confirmations) -> None:
    codes.issue(1)
    for guess in range(WRONG_LIMIT - 1):
        codes.use(f"{500_000 + guess}", 1)
    code = codes.issue(1)
    assert codes.use("500000", 1) == "unknown"
    assert codes.use(code, 1) == ""


def test_a_used_or_void_code_is_not_given_out_again(clock: ManualClock) -> None:
    codes = Confirmations(60.0, clock, numbers(7, 7, 8, 7, 8, 9))
    used = codes.issue(1)
    assert codes.use(used, 1) == ""
    assert codes.issue(2) == "000008"
    assert codes.issue(2) == "000009"


def test_randomness_that_never_changes_is_an_error_and_not_a_loop(clock: ManualClock) -> None:
    codes = Confirmations(60.0, clock, lambda _limit: 7)
    codes.use(codes.issue(1), 1)
    with pytest.raises(RuntimeError, match="randomness is broken"):
        codes.issue(2)


def test_the_real_source_gives_six_digits(clock: ManualClock) -> None:
    codes = Confirmations(60.0, clock)
    seen = {codes.issue(n) for n in range(50)}
    assert len(seen) == 50
    assert all(len(code) == 6 and code.isdigit() for code in seen)
