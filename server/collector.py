"""Python's garbage collector, and what a proxy keeps for as long as it runs."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def what_is_there_spared() -> Iterator[None]:
    """Every object that exists now, out of the collector's rounds for a while.

    A policy of a thousand targets, its vectors and the libraries are some 640,000 objects, which a
    full round would walk through while requests wait, half a second at a time. What replaces them
    later is collected like anything else. At the end they are given back, since some libraries
    complain at exit of whatever was not collected.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
