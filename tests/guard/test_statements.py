from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from guard.statements import FactIndex

WORDS = st.sampled_from(["florist", "florists", "1991", "19912", "medal", "port", "avel", "a"])
FACTS = st.lists(st.lists(WORDS, min_size=1, max_size=3).map(" ".join), max_size=3)


def _same(told: str, fact: str) -> bool:
    """Whether one word is another in any form: but for a final s, all but two letters of each."""
    if told.isdecimal() or fact.isdecimal():
        return told == fact
    one, other = (word[:-1] if word.endswith("s") else word for word in (told, fact))
    return one[: max(4, len(one) - 2)] == other[: max(4, len(other) - 2)]


def _told(words: list[str], fact: list[str]) -> bool:
    if len(fact) == 1:
        return any(_same(word, fact[0]) for word in words)
    return any(words[at : at + len(fact)] == fact for at in range(len(words)))


@given(st.lists(FACTS, max_size=4), st.lists(WORDS, max_size=8))
def test_every_statement_with_a_fact_that_is_told_is_found(
    facts: list[list[str]], words: list[str]
) -> None:
    expected = {
        row for row, own in enumerate(facts) if any(_told(words, fact.split()) for fact in own)
    }
    assert FactIndex(facts).told(" ".join(words)) == expected


def test_a_word_is_told_in_any_form_and_a_number_is_not() -> None:
    index = FactIndex([["florist"], ["1991"], ["halloran medal"]])
    assert index.told("two florists met in 19912") == {0}
    assert index.told("the halloran medal of 1991") == {1, 2}
    assert index.told("halloran won a medal") == set()
    assert index.told("") == set()
