from __future__ import annotations

import contextlib
import math
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from guard.errors import PolicyError
from guard.policy.source import MAX_BYTES, MAX_DEPTH, read_yaml

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates()
DATA = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=25
)


def same(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left):
        return math.isnan(right)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[k], right[k]) for k in left)
    return type(left) is type(right) and bool(left == right)


@given(DATA)
def test_plain_data_is_read_as_the_safe_loader_reads_it(data: Any) -> None:
    text = yaml.safe_dump(data, sort_keys=False)
    assert same(read_yaml(text, "f").data, yaml.safe_load(text))


@given(st.text() | st.text(alphabet="&*!:-[]{}'\"#|>%@a1 \n<~?,"))
def test_any_text_is_data_or_a_policy_error(text: str) -> None:
    with contextlib.suppress(PolicyError):
        read_yaml(text, "f")


def test_values_know_their_lines() -> None:
    source = read_yaml("a: 1\nb:\n  - x\n  - y: 2\n", "f")
    assert source.line(("a",)) == 1
    assert source.line(("b", 0)) == 3
    assert source.line(("b", 1, "y")) == 4
    assert source.line(("b", 1, "absent", 7)) == 4


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "`a` is given twice (first in line 1)"),
        ("a: [1\n", 2, "not valid YAML"),
        ("a: !!python/object/apply:os.system ['true']\n", 1, "is not supported"),
        ("a: !!binary aGk=\n", 1, "is not supported"),
        ("base: &b {x: 1}\na:\n  <<: *b\n", 3, "`<<` merges are not supported"),
        ("a: *nothing\n", 1, "has no anchor"),
        ("a: &a [*a]\n", 1, "has no anchor"),
        ("a: 1\n---\nb: 2\n", 2, "second document"),
        ("a: 2027-13-45\n", 1, "is no day of the calendar"),
        ("a: !!int x\n", 1, "cannot be read"),
        ("a:\n\tb: 1\n", 2, "a tab; indent with spaces alone"),
        ("a:\n  - @all\n", 2, "put quotes around text that begins with `@`"),
        ("a:\n  - `all`\n", 2, "put quotes around text that begins with ```"),
        ("a: %done\n", 1, "put quotes around text that begins with `%`"),
        ("a: 1\nb: 'it\nc: 2\n", 2, "a quotation mark that is not closed"),
        ('a: 1\nb: "it\nc: 2\n', 2, "a quotation mark that is not closed"),
        ("? [1, 2]\n: x\n", 1, "a key is not a word"),
    ],
)
def test_what_is_not_plain_data_is_an_error_with_its_line(text: str, line: int, said: str) -> None:
    with pytest.raises(PolicyError) as caught:
        read_yaml(text, "f.yaml")
    assert said in str(caught.value)
    assert caught.value.line == line
    assert caught.value.fix


def test_anchors_may_be_used() -> None:
    assert read_yaml("a: &x [1, 2]\nb: *x\n", "f").data == {"a": [1, 2], "b": [1, 2]}


def test_anchors_that_multiply_are_refused_before_they_are_expanded() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    with pytest.raises(PolicyError, match="counting each use of an anchor"):
        read_yaml("\n".join(lines), "f")


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 100_000])
def test_deep_nesting_is_refused(depth: int) -> None:
    with pytest.raises(PolicyError):
        read_yaml("[" * depth + "]" * depth, "f")


def test_anchors_cannot_nest_deeper_than_the_text() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, MAX_DEPTH + 2)]
    with pytest.raises(PolicyError, match="nested deeper"):
        read_yaml("\n".join(lines), "f")


def test_a_huge_file_is_refused() -> None:
    with pytest.raises(PolicyError, match="larger than"):
        read_yaml("#" * (MAX_BYTES + 1), "f")
