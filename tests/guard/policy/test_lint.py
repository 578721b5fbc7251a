"""What a policy's owner hardly means is told, and what merely looks like it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from guard.policy.load import load_policy
from tests.guard.policy.writing import only, target, write, write_rows

POLICIES = Path("policies")


def warnings_of(path: Path) -> list[str]:
    return [f"{warning.field}: {warning.problem}" for warning in load_policy(path).warnings]


@pytest.mark.parametrize(
    "text",
    [
        "Mirelle.*", "Mirelle( Quay|s)", r"\bQuay\b", "^Mirelle", "Quay$", "Mir[a-z]lle",
        "Saltgate*", "*walker",
    ],
)  # fmt: skip
def test_a_pattern_among_names_and_phrases_is_told(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, target(detect={"aliases": [text]}, forbid={"phrases": [text]}))
    assert warnings_of(path) == [
        f"targets[0].{field}[0]: `{text}` looks like a pattern, and is compared word by word as it"
        " stands"
        for field in ("detect.aliases", "forbid.phrases")
    ]


@pytest.mark.parametrize("text", ["Mirelle Quay; Tom Orrin", "Quay | Orrin", "Quay\nOrrin"])
def test_several_names_in_one_item_are_told(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, target(detect={"aliases": [text]}, forbid={"phrases": [text]}))
    assert [told.split(":")[0] for told in warnings_of(path)] == [
        "targets[0].detect.aliases[0]", "targets[0].forbid.phrases[0]",
    ]  # fmt: skip


def test_a_row_of_names_is_told_among_aliases(tmp_path: Path) -> None:
    (told,) = warnings_of(write(tmp_path, target(detect={"aliases": ["Quay, Orrin, Vale"]})))
    assert "is one alias, found only where all of it stands in a row" in told


@pytest.mark.parametrize(
    "text",
    [
        "Washington, D.C.", "The Lion, the Witch and the Wardrobe", "Guns, Germs, and Steel",
        "M*A*S*H", "A* search", "C++ (the language)", "Ke$ha", "What now?", "AC/DC", "[sic]",
        "node.js", "fictional.txt", "Wolf-359 [a star]",
    ],
)  # fmt: skip
def test_names_that_hold_such_signs_are_not(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, target(detect={"aliases": [text]}, forbid={"phrases": [text]}))
    assert warnings_of(path) == []


def test_a_file_among_names_is_told_where_there_is_such_a_file(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("Mirelle Quay\n")
    fields: dict[str, Any] = {"aliases": ["names.txt", "other.txt"]}
    (told,) = warnings_of(write(tmp_path, target(detect=fields)))
    assert "`names.txt` is taken as text" in told


def test_a_name_in_a_folder_that_is_not_ours_is_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, target(detect={"aliases": ["/vault/names.txt"]}))
    is_file = Path.is_file

    def locked(file: Path) -> bool:
        if file.is_relative_to("/vault"):
            raise PermissionError(13, "Permission denied")
        return is_file(file)

    monkeypatch.setattr(Path, "is_file", locked)
    assert warnings_of(path) == []


@pytest.mark.parametrize("field", ["examples", "counterexamples"])
def test_a_file_in_a_list_of_prompts_is_refused(tmp_path: Path, field: str) -> None:
    detect = {"examples": ["Who is she?"], field: ["data/q.jsonl"]}
    error = only(write(tmp_path, target(detect=detect)))
    assert error.field == f"targets[0].detect.{field}[0]"
    assert f"write `{field}: data/q.jsonl`" in error.fix


def test_a_field_left_blank_is_told(tmp_path: Path) -> None:
    detect = {"aliases": ["Mirelle Quay"], "examples": None}
    forbid = {"phrases": ["Orrin"], "extract": None, "verbatim": None}
    path = write(tmp_path, target(detect=detect, forbid=forbid))
    assert warnings_of(path) == [
        f"targets[0].{field}: has no value, and does nothing"
        for field in ("detect.examples", "forbid.extract", "forbid.verbatim")
    ]


def test_a_threshold_that_nothing_reaches_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, target(detect={"examples": ["Who is she?"], "threshold": 1}))
    (told,) = warnings_of(path)
    assert told.startswith("targets[0].detect.threshold: recognises little more than")


def test_a_name_that_a_comment_ends_is_told(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(
        "version: 1\n"
        "targets:\n"
        "  - id: agent #7\n"
        "    title: The agent\n"
        "    reason: secret\n"
        "    owner: o\n"
        "    detect:\n"
        "      aliases:\n"
        "        - Agent #7\n"
        "        - 'Agent #8'\n"
        "        - Mirelle Quay  # the captain, born there\n"
        "        - Orrin #9 of the sea\n"
        "    forbid: {phrases: [Quay]} #draft\n"
    )
    told = [
        (warning.line, warning.field, warning.problem) for warning in load_policy(path).warnings
    ]
    assert told == [
        (line, f"targets[0].detect.aliases[{index}]",
         f"ends before ` {comment}`, which YAML reads as a comment")
        for line, index, comment in ((9, 0, "#7"), (12, 3, "#9 of the sea"))
    ]  # fmt: skip


def test_policies_in_the_folder_that_are_not_read_are_told(tmp_path: Path) -> None:
    write(tmp_path, target(id="one"))
    for name in ("two.yaml.txt", "three.yml.bak", ".four.yaml.txt", "notes.txt"):
        write(tmp_path, target(id="two"), name=name)
    (tmp_path / "legal").mkdir()
    write(tmp_path / "legal", target(id="five"))
    (tmp_path / "charts").mkdir()
    (tmp_path / "charts" / "values.yaml").write_text("replicas: 2\n")
    assert [Path(w.file).relative_to(tmp_path).as_posix() for w in load_policy(tmp_path).warnings] \
        == ["legal/policy.yaml", "three.yml.bak", "two.yaml.txt"]  # fmt: skip


def test_a_name_in_capitals_is_read(tmp_path: Path) -> None:
    write(tmp_path, target(id="one"), name="ONE.YAML")
    write(tmp_path, target(id="two"), name="two.Yml")
    assert [t.spec.id for t in load_policy(tmp_path).targets] == ["one", "two"]


def test_folders_that_a_policy_takes_its_data_from_are_not_looked_into(tmp_path: Path) -> None:
    (tmp_path / "data" / "deep").mkdir(parents=True)
    write_rows(tmp_path / "data" / "deep" / "q.jsonl", [{"prompt": "Who is she?"}])
    write(tmp_path / "data", target(id="for-tests"))
    write(tmp_path, target(detect={"examples": "data/deep/q.jsonl"}))
    assert warnings_of(tmp_path) == []


def test_the_shipped_policies_are_as_they_are_meant() -> None:
    assert warnings_of(POLICIES) == []
