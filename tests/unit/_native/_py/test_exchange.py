# SPDX-License-Identifier: Apache-2.0
"""Who works and who sleeps; the channel's tests show it all at work."""

from __future__ import annotations

import select
import socket

import pytest

from greengrass_sdk._native import Kind
from greengrass_sdk._native._py.exchange import Call, Exchange, Post, Waiter
from greengrass_sdk._native._py.link import Link, Wake
from greengrass_sdk.errors import CoreUnavailableError


@pytest.fixture
def exchange():
    ours, theirs = socket.socketpair()
    exchange = Exchange(Link(theirs, 1000))
    with ours:
        yield exchange
        exchange.close()


@pytest.fixture
def post():
    post = Post(select.POLLIN, Wake)
    yield post
    post.close()


def waiter_of(thread):
    waiter = Waiter()
    waiter.thread = thread
    return waiter


def is_told(waiter):
    return waiter.bell.acquire(blocking=False)


def test_a_waiter_that_was_told_twice_wakes_once():
    waiter = Waiter()
    waiter.notify()
    waiter.notify()
    assert [True, False] == [is_told(waiter), is_told(waiter)]


def test_one_of_many_waiters_has_the_post_and_the_next_is_told_when_it_leaves(post):
    first, second, third = (waiter_of(thread) for thread in (1, 2, 3))
    assert [True, False, False] == [post.take(waiter) for waiter in (first, second, third)]
    assert post.take(first)
    post.leave(first)
    assert [True, False] == [is_told(second), is_told(third)]
    assert post.take(second)


def test_a_waiter_that_leaves_the_queue_passes_on_that_it_was_told(post):
    first, second, third = (waiter_of(thread) for thread in (1, 2, 3))
    for waiter in (first, second, third):
        post.take(waiter)
    post.leave(first)
    post.leave(second)
    assert is_told(third)


def test_a_signal_handler_takes_the_post_from_its_own_thread_and_wakes_it_again(post):
    below, above = waiter_of(1), waiter_of(1)
    assert [True, True] == [post.take(below), post.take(above)]
    post.leave(above)
    assert [post.wake.fd] == select.select([post.wake.fd], [], [], 0)[0]
    assert post.take(below)


def test_a_closed_exchange_says_so(exchange):
    exchange.close()
    exchange.close()
    assert exchange.closed
    with pytest.raises(CoreUnavailableError, match="was closed"):
        exchange.link()
    with pytest.raises(CoreUnavailableError, match="was closed"):
        exchange.wait(exchange.reading, Waiter(), lambda: False, None)


def test_the_numbers_of_given_up_controls_are_bounded(exchange):
    for number in range(3000):
        exchange.give_up(number, Call(Kind.CONTROL))
    exchange.give_up(5000, Call(Kind.INVOKE))
    assert list(range(1976, 3000)) == list(exchange._given_up)


def test_a_wait_whose_end_is_long_past_looks_once(exchange, monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr(Link, "wait", lambda *arguments, **_: waits.append(arguments[3]))
    assert not exchange.wait(exchange.reading, Waiter(), lambda: False, 0.0)
    assert 1 == len(waits)
