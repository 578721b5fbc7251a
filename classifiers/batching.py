"""One encoder for many requests: waiting texts go to it together, known texts not at all."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict, deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from classifiers.encoder import Encoder
from guard.errors import GuardError

Row = npt.NDArray[np.float32]  # [d]


class BatchingEncoder:
    """An encoder shared by the coroutines of one event loop.

    While batches are in the worker threads, as many as the encoder takes in parallel, the texts
    that arrive form the next. A text that is already on its way is not sent twice.

    Args:
        max_batch: most texts in one call of the encoder.
        cache_size: how many texts' vectors are kept, least recently used out first. Keys are
            digests: the cache holds no text.
    """

    def __init__(self, encoder: Encoder, *, max_batch: int = 64, cache_size: int = 100_000) -> None:
        self.digest = encoder.digest
        self._encoder = encoder
        self._max_batch = max_batch
        self._cache_size = cache_size
        self._cache: OrderedDict[bytes, Row] = OrderedDict()
        self._pending: dict[bytes, asyncio.Future[Row]] = {}
        self._queue: deque[tuple[bytes, str]] = deque()
        self._parallel = encoder.parallel
        self._workers = ThreadPoolExecutor(self._parallel, thread_name_prefix="encoder")
        self._drains: list[asyncio.Task[None]] = []
        self._idle = self._parallel
        self._closed = False

    async def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Encode texts, in order.

        Returns:
            [n, d] float32, rows of unit length; [0, 0] for no texts.

        Raises:
            Exception: whatever the encoder raised for one of them.
        """
        if self._closed:
            raise GuardError("the sentence encoder has been closed", fix="restart the proxy")
        if not texts:
            return np.zeros((0, 0), np.float32)
        keys = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts]
        # Rows are taken from the cache now: other requests may push them out while this one waits.
        known: dict[bytes, Row] = {}
        waiting: dict[bytes, asyncio.Future[Row]] = {}
        for key, text in zip(keys, texts, strict=True):
            row = self._cache.get(key)
            if row is not None:
                self._cache.move_to_end(key)
                known[key] = row
            elif key not in waiting:
                waiting[key] = self._pending.get(key) or self._enqueue(key, text)
        if waiting:
            # `wait`, unlike awaiting them, leaves the shared futures alone if this is cancelled.
            await asyncio.wait(waiting.values())
            known.update((key, future.result()) for key, future in waiting.items())
        return np.stack([known[key] for key in keys])

    def _enqueue(self, key: bytes, text: str) -> asyncio.Future[Row]:
        future: asyncio.Future[Row] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_mark_retrieved)
        self._pending[key] = future
        self._queue.append((key, text))
        self._drains = [drain for drain in self._drains if not drain.done()]
        if len(self._drains) < self._parallel:
            self._drains.append(asyncio.create_task(self._run()))
        return future

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queue:
            # What waits is shared out among the workers that have nothing to do.
            share = min(self._max_batch, -(-len(self._queue) // self._idle))
            batch = [self._queue.popleft() for _ in range(share)]
            self._idle -= 1
            try:
                rows = await loop.run_in_executor(
                    self._workers, self._encoder.encode, [text for _, text in batch]
                )
            except BaseException as error:
                self._fail(batch, error)
                if isinstance(error, asyncio.CancelledError):
                    self._fail(list(self._queue), error)
                    self._queue.clear()
                    raise
                continue
            finally:
                self._idle += 1
            for (key, _), row in zip(batch, rows, strict=True):
                self._settle(key, row)

    def _settle(self, key: bytes, row: Row) -> None:
        self._cache[key] = row
        while len(self._cache) > self._cache_size:
            self._cache.popitem(last=False)
        future = self._pending.pop(key)
        if not future.done():
            future.set_result(row)

    def _fail(self, batch: Sequence[tuple[bytes, str]], error: BaseException) -> None:
        if isinstance(error, asyncio.CancelledError):
            error = GuardError("the sentence encoder was stopped", fix="send the request again")
        for key, _ in batch:
            future = self._pending.pop(key)
            if not future.done():
                future.set_exception(error)

    async def aclose(self) -> None:
        """Stop; requests that still wait fail."""
        self._closed = True
        for drain in self._drains:
            drain.cancel()
        if self._drains:
            await asyncio.wait(self._drains)
        self._workers.shutdown(wait=False, cancel_futures=True)


def _mark_retrieved(future: asyncio.Future[Row]) -> None:
    # Every waiter may have gone; the error is then nobody's, not a warning at exit.
    if not future.cancelled():
        future.exception()
