"""A bundle is what was written, wholly, or it is refused."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from guard.bundle import CANARY_PHRASE, CANARY_TARGET, Bundle, BundleTarget, Tenant
from guard.bundle_loading import load_bundle, load_engine_bundle
from guard.bundle_writing import write_bundle
from guard.canonical import canonical_json
from guard.errors import BundleError
from guard.keywords import KeywordTable
from guard.letter_table import ExampleRuns, LetterTable
from guard.phrase_table import BundlePhrase
from guard.statements import Statements
from guard.verbatim import RunFilters
from tests.guard.words import filter_of

TARGET = BundleTarget(
    id="harbor-novels",
    title="The Harbor novels — “Möwe”",
    reason="copyright",
    owner="legal@example.com",
    mode="enforce",
    respond="refuse",
    refusal="I can't discuss that work.",
    context="redact",
    always=True,
    expires="2027-06-30",
    thresholds={"neighbour": 0.62, "contrast": 0.31},
    aliases=("mirelle quay", "東 京"),
)
CONTENT: dict[str, Any] = {
    "targets": [TARGET],
    "phrases": [BundlePhrase("saltgate", 0, "soft"), BundlePhrase("mirelle quay", 0, "hard")],
    "tenants": [Tenant("research", ("sha256:ab",), ("harbor-novels",))],
    "on_error": "open",
    "encoder": "e" * 64,
    "examples": np.eye(3, 4, dtype=np.float32),
    "example_targets": np.zeros(3, np.int32),
    "contrasts": np.eye(1, 4, dtype=np.float32),
    "contrast_targets": np.zeros(1, np.int32),
    "keywords": KeywordTable.of([frozenset({"granite"})], ["Is granite hard?"]),
    "keyword_targets": np.zeros(1, np.int32),
    "statements": Statements(
        np.eye(2, 4, dtype=np.float32), np.zeros(2, np.int32), (("saltgate",), ("1991",)), {0: 0.8}
    ),
    "letters": LetterTable.of([(0, ExampleRuns(np.array([3, 5], np.int32)))]),
    "words": ["quay", "mirelle", "quay"],
    "verbatim": [(0, filter_of(["the lanterns of saltgate burn"], 2))],
}
MEMBERS = [
    "manifest.json",
    "targets.json",
    "targets.txt",
    "phrases.txt",
    "phrases.safetensors",
    "calibration.json",
    "contrasts.safetensors",
    "keywords.safetensors",
    "letters.safetensors",
    "tenants.json",
    "examples.safetensors",
    "statements.json",
    "statements.safetensors",
    "words.txt",
    "verbatim.safetensors",
]


def write(root: Path, **changes: Any) -> Bundle:
    return write_bundle(root, **{**CONTENT, **changes})


def test_what_was_written_is_what_is_loaded(tmp_path: Path) -> None:
    digest = write(tmp_path).digest
    bundle = load_bundle(tmp_path, digest)
    assert bundle.targets[0] == TARGET
    assert bundle.phrases.of_targets([0]) == CONTENT["phrases"]
    assert list(bundle.tenants) == CONTENT["tenants"]
    assert (bundle.on_error, bundle.encoder) == ("open", "e" * 64)
    np.testing.assert_array_equal(bundle.examples, CONTENT["examples"])
    np.testing.assert_array_equal(bundle.example_targets, CONTENT["example_targets"])
    for name in ("vectors", "targets"):
        np.testing.assert_array_equal(
            getattr(bundle.statements, name), getattr(CONTENT["statements"], name)
        )
    assert bundle.statements.facts == (("saltgate",), ("1991",))
    assert bundle.statements.thresholds == {0: 0.8}
    np.testing.assert_array_equal(bundle.contrasts, CONTENT["contrasts"])
    np.testing.assert_array_equal(bundle.contrast_targets, CONTENT["contrast_targets"])
    for name, array in CONTENT["letters"].arrays().items():
        np.testing.assert_array_equal(getattr(bundle.letters, name), array)
    assert bundle.words == ("mirelle", "quay")
    assert bundle.keywords.words == CONTENT["keywords"].words
    np.testing.assert_array_equal(bundle.keyword_targets, CONTENT["keyword_targets"])
    assert bundle.examples.dtype == np.float32
    assert bundle.example_targets.dtype == np.int32
    assert bundle.verbatim.same_as(RunFilters.of(CONTENT["verbatim"]))


def test_an_empty_policy_makes_a_bundle_that_holds_the_canary_alone(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path, targets=[], phrases=[])
    assert [target.id for target in bundle.targets] == [CANARY_TARGET]
    assert bundle.phrases.of_targets([0]) == [BundlePhrase(CANARY_PHRASE, 0, "hard")]
    assert len(bundle.phrases) == 1
    assert bundle.examples.shape == (0, 0)
    assert bundle.on_error == "closed"


def test_cues_have_slots_of_their_own_after_those_of_the_targets(tmp_path: Path) -> None:
    rows = [
        BundlePhrase("a", 0, "hard", cue=True),
        BundlePhrase("b", 0, "soft"),
        BundlePhrase("c", 1, "hard"),
        BundlePhrase("d", 1, "hard", cue=True),
    ]
    targets = [TARGET, replace(TARGET, id="second")]
    made = write_bundle(tmp_path, targets=targets, phrases=rows)
    assert made.phrases.cues() == [rows[0], rows[3]]
    assert set(made.phrases.of_targets([0, 1])) == set(rows)
    engine = load_engine_bundle(tmp_path, made.digest)
    # Two targets and the canary's, then the cues.
    assert engine.slot_owner().tolist() == [0, 1, 2, 0, 1]
    by_text = dict(zip(engine.phrases.texts(), engine.phrases.slot.tolist(), strict=True))
    assert by_text == {"b": 0, "c": 1, CANARY_PHRASE: 2, "a": 3, "d": 4}


def test_the_canary_is_added_after_the_targets(tmp_path: Path) -> None:
    bundle = write(tmp_path)
    assert bundle.index_of(CANARY_TARGET) == 1
    assert bundle.phrases.of_targets([1]) == [BundlePhrase(CANARY_PHRASE, 1, "hard")]
    assert bundle.index_of("harbor-novels") == 0
    with pytest.raises(KeyError):
        bundle.index_of("absent")


def test_the_same_content_has_the_same_digest_anywhere(tmp_path: Path) -> None:
    digests = {write(tmp_path / name).digest for name in ("a", "b")}
    assert digests == {write(tmp_path / "a").digest}


def test_the_digest_does_not_depend_on_the_process(tmp_path: Path) -> None:
    """Another process has another hash seed, so another order of any set."""
    code = (
        "import sys; from pathlib import Path; from guard.bundle import *;"
        "from guard.bundle_writing import write_bundle;"
        "print(write_bundle(Path(sys.argv[1]), targets=[], phrases=[],"
        " tenants=[Tenant('t', ('a', 'b'), ('x', 'y'))]).digest)"
    )
    root = Path(__file__).parents[2]
    other = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a")],
        cwd=root, check=True, capture_output=True, text=True,
    )  # fmt: skip
    tenants = [Tenant("t", ("a", "b"), ("x", "y"))]
    own = write_bundle(tmp_path / "b", targets=[], phrases=[], tenants=tenants)
    assert other.stdout.strip() == own.digest


@pytest.mark.parametrize(
    "changes",
    [
        {"targets": [replace(TARGET, thresholds={"neighbour": 0.63})]},
        {"targets": [replace(TARGET, respond="suppress")]},
        {"phrases": list(reversed(CONTENT["phrases"]))},
        {"phrases": [replace(p, strength="hard") for p in CONTENT["phrases"]]},
        {"tenants": []},
        {"on_error": "closed"},
        {"encoder": "f" * 64},
        {"examples": -CONTENT["examples"]},
        {"example_targets": np.array([0, 0, 1], np.int32)},
        {"contrasts": -CONTENT["contrasts"]},
        {"contrast_targets": np.ones(1, np.int32)},
        {"keywords": KeywordTable.of([frozenset({"marble"})], [])},
        {"keyword_targets": np.ones(1, np.int32)},
        {"letters": LetterTable()},
        {"verbatim": []},
        {"verbatim": [(0, filter_of(["the lanterns of saltgate burn"], 3))]},
        {"verbatim": [(0, filter_of(["the lanterns of saltgate shine"], 2))]},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_any_other_content_has_another_digest(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert write(tmp_path, **changes).digest != write(tmp_path).digest


@pytest.mark.parametrize("member", MEMBERS)
def test_a_flip_of_any_bit_of_any_byte_is_refused(tmp_path: Path, member: str) -> None:
    digest = write(tmp_path).digest
    path = tmp_path / digest / member
    intact = path.read_bytes()
    for place in range(len(intact)):
        altered = bytearray(intact)
        altered[place] ^= 1 << place % 8
        path.write_bytes(altered)
        with pytest.raises(BundleError, match=f"`{member}` does not match its digest"):
            load_bundle(tmp_path, digest)
    path.write_bytes(intact)
    load_bundle(tmp_path, digest)


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("change", ["cut", "grown", "absent"])
def test_a_damaged_member_is_refused_by_name(tmp_path: Path, member: str, change: str) -> None:
    digest = write(tmp_path).digest
    path = tmp_path / digest / member
    intact = path.read_bytes()
    if change == "absent":
        path.unlink()
    else:
        path.write_bytes(intact[:-1] if change == "cut" else intact + b"\n")
    with pytest.raises(BundleError, match=f"`{member}`"):
        load_bundle(tmp_path, digest)


@pytest.mark.parametrize("member", MEMBERS)
def test_a_member_of_another_bundle_is_refused(tmp_path: Path, member: str) -> None:
    digest = write(tmp_path).digest
    other = write(
        tmp_path, targets=[replace(TARGET, id="other", title="x")], phrases=[], tenants=[],
        examples=None, example_targets=None, contrasts=None, contrast_targets=None,
        keywords=None, keyword_targets=None, verbatim=[],
        statements=None, letters=None, words=[],
        calibrations={"other": b"{}"},
    ).digest  # fmt: skip
    (tmp_path / digest / member).write_bytes((tmp_path / other / member).read_bytes())
    with pytest.raises(BundleError, match=f"`{member}`"):
        load_bundle(tmp_path, digest)


@pytest.mark.parametrize(
    "digest", ["", "abc", "../../etc", "A" * 64, "0" * 63, "0" * 65, "0" * 64 + "\n"]
)
def test_what_is_no_digest_is_refused_before_any_file_is_opened(
    tmp_path: Path, digest: str
) -> None:
    with pytest.raises(BundleError, match="not 64 hex digits"):
        load_bundle(tmp_path, digest)


def test_an_absent_bundle_is_refused_with_the_fix(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="share the proxy's bundle folder"):
        load_bundle(tmp_path, "0" * 64)


def test_a_bundle_of_another_format_is_refused(tmp_path: Path) -> None:
    import hashlib

    manifest = canonical_json({"format": 99, "encoder": "", "members": {}})
    digest = hashlib.sha256(manifest).hexdigest()
    (tmp_path / digest).mkdir()
    (tmp_path / digest / "manifest.json").write_bytes(manifest)
    with pytest.raises(BundleError, match=r"format 99, not \d+"):
        load_bundle(tmp_path, digest)


def test_writing_leaves_nothing_beside_the_bundle(tmp_path: Path) -> None:
    digest = write(tmp_path).digest
    write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [digest]
    assert sorted(path.name for path in (tmp_path / digest).iterdir()) == sorted(MEMBERS)


def test_a_failed_write_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr("guard.bundle_writing.os.fsync", fail)
    with pytest.raises(BundleError, match="no space left"):
        write(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_writer_that_lost_the_race_takes_the_winners_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = write(tmp_path / "other")
    rename = Path.rename

    def rename_after_another(self: Path, to: Path) -> Path:
        rename(tmp_path / "other" / other.digest, to)
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", rename_after_another)
    assert write(tmp_path / "own").digest == other.digest
    assert [path.name for path in (tmp_path / "own").iterdir()] == [other.digest]


def test_a_bundle_is_not_readable_by_everyone(tmp_path: Path) -> None:
    """It holds the protected phrases in clear."""
    place = tmp_path / write(tmp_path).digest
    for path in (place, *place.iterdir()):
        assert path.stat().st_mode & 0o007 == 0, path.name
