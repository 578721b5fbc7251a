from __future__ import annotations

import gc
import weakref

from server.collector import what_is_there_spared


class Node:
    def __init__(self) -> None:
        self.own = self


def test_what_was_there_is_walked_through_no_more_and_what_comes_is_collected() -> None:
    stays = [Node() for _ in range(1000)]
    with what_is_there_spared():
        tracked = {id(each) for each in gc.get_objects()}
        assert not any(id(node) in tracked for node in stays)
        gone = weakref.ref(Node())
        gc.collect()
        assert gone() is None
    tracked = {id(each) for each in gc.get_objects()}
    assert all(id(node) in tracked for node in stays)
