from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from classifiers.batching import BatchingEncoder
from guard.errors import GuardError


class Counting:
    """An encoder that records its batches; a text's vector is (its length, 1)."""

    digest = "d"

    def __init__(self, parallel: int = 1) -> None:
        self.parallel = parallel
        self.batches: list[list[str]] = []
        self.threads: set[str] = set()
        self.go = threading.Event()
        self.go.set()

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        self.go.wait()
        self.threads.add(threading.current_thread().name)
        self.batches.append(list(texts))
        if "bad" in texts:
            raise RuntimeError("cannot encode")
        return np.array([[len(text), 1] for text in texts], np.float32)


def batching(encoder: Counting, **options: int) -> BatchingEncoder:
    return BatchingEncoder(encoder, **options)


async def test_rows_come_back_in_the_order_of_the_texts() -> None:
    rows = await batching(Counting()).encode(["ccc", "a", "bb", "a"])
    assert rows[:, 0].tolist() == [3, 1, 2, 1]


async def test_a_text_is_encoded_once() -> None:
    encoder = Counting()
    batches = batching(encoder)
    await batches.encode(["a", "b", "a"])
    await batches.encode(["b", "c"])
    assert sorted(text for batch in encoder.batches for text in batch) == ["a", "b", "c"]


async def test_requests_that_wait_share_a_batch_and_their_texts() -> None:
    encoder = Counting()
    encoder.go.clear()
    batches = batching(encoder)
    first = asyncio.create_task(batches.encode(["first"]))
    await asyncio.sleep(0.01)
    others = [asyncio.create_task(batches.encode([f"text {n % 3}"])) for n in range(9)]
    await asyncio.sleep(0.01)
    encoder.go.set()
    await asyncio.gather(first, *others)
    assert encoder.batches == [["first"], ["text 0", "text 1", "text 2"]]
    assert len(encoder.threads) == 1


async def test_no_batch_is_larger_than_the_limit() -> None:
    encoder = Counting()
    rows = await batching(encoder, max_batch=4).encode([str(n) * (n + 1) for n in range(9)])
    assert [len(batch) for batch in encoder.batches] == [4, 4, 1]
    assert len(rows) == 9


async def test_the_cache_forgets_the_least_recently_used() -> None:
    encoder = Counting()
    batches = batching(encoder, cache_size=2)
    for text in ("a", "b", "a", "c", "a", "b"):
        await batches.encode([text])
    assert [batch[0] for batch in encoder.batches] == ["a", "b", "c", "b"]


async def test_more_texts_than_the_cache_holds_are_all_encoded() -> None:
    rows = await batching(Counting(), cache_size=1).encode(["a", "bb", "ccc"])
    assert rows[:, 0].tolist() == [1, 2, 3]


async def test_an_error_reaches_the_request_and_is_not_remembered() -> None:
    encoder = Counting()
    batches = batching(encoder)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="cannot encode"):
            await batches.encode(["bad"])
    assert len(encoder.batches) == 2
    assert (await batches.encode(["good"]))[0, 0] == 4


async def test_a_cancelled_request_does_not_disturb_one_that_shares_its_text() -> None:
    encoder = Counting()
    encoder.go.clear()
    batches = batching(encoder)
    one = asyncio.create_task(batches.encode(["same"]))
    two = asyncio.create_task(batches.encode(["same"]))
    await asyncio.sleep(0.01)
    one.cancel()
    await asyncio.sleep(0)
    encoder.go.set()
    assert (await two)[0, 0] == 4
    with pytest.raises(asyncio.CancelledError):
        await one


async def test_closing_fails_what_waits_and_what_comes() -> None:
    encoder = Counting()
    encoder.go.clear()
    batches = batching(encoder)
    waiting = [asyncio.create_task(batches.encode([text])) for text in ("a", "b")]
    await asyncio.sleep(0.01)
    closing = asyncio.create_task(batches.aclose())
    await asyncio.sleep(0.01)
    encoder.go.set()
    await closing
    for task in waiting:
        with pytest.raises(GuardError):
            await task
    with pytest.raises(GuardError, match="closed"):
        await batches.encode(["c"])


async def test_no_texts_give_no_rows() -> None:
    assert len(await batching(Counting()).encode([])) == 0


async def test_texts_that_wait_are_shared_out_among_the_calls_that_run_in_parallel() -> None:
    encoder = Counting(parallel=3)
    encoder.go.clear()
    batches = batching(encoder)
    waiting = asyncio.create_task(batches.encode([f"text {n}" for n in range(7)]))
    await asyncio.sleep(0.01)
    encoder.go.set()
    assert len(await waiting) == 7
    assert sorted(len(batch) for batch in encoder.batches) == [2, 2, 3]


@pytest.mark.parametrize("parallel", [1, 2])
async def test_a_text_that_comes_just_when_a_batch_has_ended_is_encoded(parallel: int) -> None:
    batches = batching(Counting(parallel))
    for n in range(50):
        first = asyncio.ensure_future(batches.encode([f"{n}a"]))
        first.add_done_callback(lambda _: None)
        await first
        assert len(await asyncio.wait_for(batches.encode([f"{n}bb"]), 30)) == 1
