"""Two writings of the same words have one normal form, and it can be computed piece by piece."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from guard.normalise import SEP, fold, fold_bytes, folded, normalise

# Arbitrary text, and text dense in what the folding treats specially.
TEXTS = st.one_of(
    st.text(max_size=20),
    st.text(
        "aAéÉe\u0301\u200b\u00ad\ufe0f\u20dd½ﬁßſİıΣσς東か\u3099\u0e01\u0e34\u0e48한\u1112\u1161"
        " \n-_*\u2019'’.\u0939\u093f\u094d\u0928\U0001f600\U00020000\ufffd",
        max_size=12,
    ),
)


def collapse(symbols: str) -> str:
    """Separator runs to one, by the obvious way."""
    while SEP + SEP in symbols:
        symbols = symbols.replace(SEP + SEP, SEP)
    return symbols


def test_every_code_point_folds_to_what_folds_to_itself() -> None:
    for code in range(sys.maxunicode + 1):
        form = collapse(fold.__wrapped__(chr(code)))
        assert folded(form)[0] == form, f"U+{code:04X}"
        assert normalise(f"a{chr(code)}a") == collapse(f"a{form}a"), f"U+{code:04X}"


@given(TEXTS)
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@given(TEXTS)
def test_the_normal_form_has_single_separators_and_none_at_its_ends(text: str) -> None:
    form = normalise(text)
    assert SEP + SEP not in form
    assert form == form.strip(SEP)
    assert all(symbol == SEP or unicodedata.category(symbol)[0] in "LNM" for symbol in form)


@given(TEXTS, TEXTS)
def test_pieces_folded_apart_join_to_the_whole(left: str, right: str) -> None:
    assert folded(left + right)[0] == collapse(folded(left)[0] + folded(right)[0])
    assert normalise(left + right) == collapse(folded(left)[0] + folded(right)[0]).strip(SEP)


@given(TEXTS)
@example("ᾳ\u0301")
def test_canonically_equivalent_texts_have_one_form(text: str) -> None:
    for form in ("NFC", "NFD"):
        assert normalise(unicodedata.normalize(form, text)) == normalise(text)


@given(TEXTS)
def test_each_symbol_knows_the_code_point_it_came_from(text: str) -> None:
    symbols, offsets = folded(text)
    assert len(symbols) == len(offsets)
    assert offsets == sorted(offsets)
    for symbol, offset in zip(symbols, offsets, strict=True):
        assert symbol in fold(text[offset])


@given(TEXTS)
def test_utf8_bytes_fold_like_their_text(text: str) -> None:
    assert fold_bytes(text.encode()) == folded(text)[0]


@given(TEXTS, st.integers(0, 80))
def test_an_unfinished_code_point_at_the_end_counts_as_nothing(text: str, cut: int) -> None:
    data = text.encode()[:cut]
    assert fold_bytes(data) == folded(data.decode(errors="ignore"))[0]


def test_bytes_of_no_code_point_are_a_separator() -> None:
    assert fold_bytes(b"a\xffb") == "a b"


@pytest.mark.parametrize(
    ("written", "same"),
    [
        ("Mirelle Quay", "MIRELLE   quay"),
        ("Mirelle Quay", "**Mirelle**\n_Quay_"),
        ("Mirelle Quay", "Mi\u200brel\u00adle Qu\u2060ay"),
        ("Mirelle Quay", "Ｍｉｒｅｌｌｅ Ｑｕａｙ"),
        ("Zoë", "ZOE\u0308"),
        ("Straße", "STRASSE"),
        ("it's", "it’s"),
        ("ﬁn", "fin"),
        ("ἀθῆναι", "αθηναι"),
        ("한국", unicodedata.normalize("NFD", "한국")),
        ("が", unicodedata.normalize("NFD", "が")),
        ("10,000", "10.000"),
    ],
)
def test_writings_of_the_same_words_are_the_same(written: str, same: str) -> None:
    assert normalise(written) == normalise(same)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Mirelle", "Mirella"),
        ("MirelleQuay", "Mirelle Quay"),
        ("हिन", "हन"),
        ("क्न", "कन"),
        ("1", "2"),
    ],
)
def test_other_words_are_other(one: str, other: str) -> None:
    assert normalise(one) != normalise(other)


def test_letters_of_scripts_without_spaces_are_words() -> None:
    assert normalise("私は東京へ") == "私 は 東 京 へ"
