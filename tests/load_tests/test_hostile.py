from __future__ import annotations

import pytest

from guard.views import find_views
from load_tests.hostile import HOSTILE


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("length", [10, 3000, 20_000])
def test_a_hostile_text_is_as_long_as_asked(kind: str, length: int) -> None:
    assert len(HOSTILE[kind](length)) == length


def test_the_mixed_text_has_something_for_every_kind_of_view() -> None:
    kinds = {
        kind for view in find_views(HOSTILE["everything in turn"](20_000)) for kind in view.via
    }
    assert kinds == {
        "unicode", "homoglyphs", "leetspeak", "spaced letters", "base64", "hex",
        "percent encoding", "html entities", "escapes", "rot13", "reversed",
    }  # fmt: skip
