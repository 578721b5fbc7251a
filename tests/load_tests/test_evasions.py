"""Each way of writing keeps the words, and its grammar takes just that, or leaves a word."""

from __future__ import annotations

import re

import pytest

from load_tests.evasions import EVASIONS, LEAVE, forcing
from load_tests.runs import words_of

TEXT = "Isolde's ninth bell (of 1761) rings at Saint-Orla's Tower, a"


@pytest.mark.parametrize("way", EVASIONS)
def test_a_way_of_writing_keeps_the_words_and_its_grammar_forces_it(way: str) -> None:
    words = TEXT.split()
    parts = [EVASIONS[way](place, word) for place, word in enumerate(words)]
    written = "".join(word + between for word, between in parts[:-1]) + parts[-1][0]
    assert words_of(written) == words_of(TEXT)
    pattern = re.compile(forcing(words, EVASIONS[way]))
    assert pattern.fullmatch(written)
    assert (written != TEXT) == (way != "as it is")
    left = parts[0][0][:3] + LEAVE + written[len(parts[0][0]) :]
    assert pattern.fullmatch(left)
    assert words_of(left) != words_of(TEXT)
    assert not pattern.fullmatch(written[:-1] + "b")
