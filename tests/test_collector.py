"""How often Python's garbage collector runs while a map makes many objects."""

from __future__ import annotations

import gc

import pytest

from fact_magics.collector import SeldomCollected


@pytest.fixture(autouse=True)
def usual_threshold():
    usual = gc.get_threshold()
    yield
    gc.set_threshold(*usual)


def test_the_usual_threshold_comes_back_when_the_last_task_ends():
    gc.set_threshold(700, 11, 12)
    seldom = SeldomCollected()
    first, second = seldom, seldom
    with first:
        with second:
            assert gc.get_threshold() == (50_000, 11, 12)
        assert gc.get_threshold() == (50_000, 11, 12)
    assert gc.get_threshold() == (700, 11, 12)


@pytest.mark.parametrize("objects", [0, 60_000])
def test_a_user_who_collects_even_less_often_keeps_the_threshold(objects):
    gc.set_threshold(objects, 10, 10)
    with SeldomCollected():
        assert gc.get_threshold() == (objects, 10, 10)
    assert gc.get_threshold() == (objects, 10, 10)
