"""The phrases of a bundle as arrays give back what they were made of."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from guard.phrase_table import BundlePhrase, PhraseTable

N_TARGETS = 4
ROWS = st.lists(
    st.builds(
        BundlePhrase,
        text=st.text("ab é東", min_size=1, max_size=5),
        target=st.integers(0, N_TARGETS - 1),
        strength=st.sampled_from(["hard", "soft"]),
        cue=st.booleans(),
        turn=st.none() | st.integers(0, 9),
    ),
    max_size=12,
)


@given(ROWS, st.sets(st.integers(0, N_TARGETS)))
def test_the_phrases_of_some_targets_are_those_that_were_theirs(
    rows: list[BundlePhrase], targets: set[int]
) -> None:
    ordered = sorted(rows, key=lambda row: (row.cue, row.target))
    table = PhraseTable.of(rows, N_TARGETS)
    assert table.of_targets(targets) == [row for row in ordered if row.target in targets]
    assert table.texts() == [row.text for row in ordered]


@given(ROWS)
def test_cues_come_in_the_order_of_their_slots(rows: list[BundlePhrase]) -> None:
    table = PhraseTable.of(rows, N_TARGETS)
    cues = sorted((row for row in rows if row.cue), key=lambda row: row.target)
    assert table.cues() == cues
    slots = table.slot[len(rows) - len(cues) :].tolist()
    assert slots == [N_TARGETS + place for place in range(len(cues))]
