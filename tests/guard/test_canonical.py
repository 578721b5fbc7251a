"""One byte string per value, put together or made at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from guard.canonical import canonical_json, canonical_object


@given(st.dictionaries(st.text(), st.dictionaries(st.text(), st.floats(allow_nan=False))))
def test_an_object_of_parts_in_canonical_form_is_in_it_too(
    value: dict[str, dict[str, float]],
) -> None:
    parts = {name: canonical_json(own) for name, own in value.items()}
    assert canonical_object(parts) == canonical_json(value)
