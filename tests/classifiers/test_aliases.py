from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from classifiers.aliases import AliasMatcher
from guard.normalise import normalise
from guard.phrases import has_enough_letters
from tests.classifiers.bundles import bundle_target, make_bundle

NAMES = st.text(alphabet="abA é-", min_size=1, max_size=6).filter(
    lambda text: normalise(text) != ""
)
TEXTS = st.text(alphabet="abAB é-.,\u200b", max_size=40)


@given(st.lists(st.lists(NAMES, max_size=3), min_size=1, max_size=4), TEXTS)
def test_it_names_the_targets_that_a_search_for_each_alias_finds(
    aliases: list[list[str]], text: str
) -> None:
    targets = [bundle_target(f"t{i}", *names) for i, names in enumerate(aliases)]
    with tempfile.TemporaryDirectory() as folder:
        bundle = make_bundle(Path(folder), targets)
    expected = {
        index
        for index, names in enumerate(aliases)
        if any(says(normalise(text), normalise(name)) for name in names)
    }
    assert AliasMatcher(bundle).named(text) == expected


def says(text: str, name: str) -> bool:
    edge = "" if has_enough_letters(name) else " "
    return f" {name}{edge}" in f" {text} "


def test_case_accents_and_punctuation_do_not_hide_a_name(tmp_path: Path) -> None:
    matcher = AliasMatcher(make_bundle(tmp_path, [bundle_target("a", "Mirelle Quay")]))
    for text in ("MIRELLE-QUAY's books", "**Mirélle** _Quay_?", "mi\u200brelle\nquay"):
        assert matcher.named(text) == {0}
    for text in ("Mirelle's Quay", "AMirelle Quay"):
        assert matcher.named(text) == frozenset()


def test_a_bundle_without_aliases_names_nothing(tmp_path: Path) -> None:
    assert AliasMatcher(make_bundle(tmp_path, [])).named("anything") == frozenset()
