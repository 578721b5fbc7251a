"""What was encoded once is not encoded again; what cannot be trusted is."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from server import kept_encodings as module
from server.app import create_app
from server.kept_encodings import kept_encodings
from server.settings import load_settings


class Counting:
    """Vectors that hang on the text and the model alone; counts what it is asked for."""

    parallel = 1

    def __init__(self, digest: str = "a" * 64, model: str = "") -> None:
        self.digest = digest
        self.asked: list[str] = []
        self._model = model

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        self.asked += texts
        rows = np.zeros((len(texts), 4), np.float32)
        for row, text in zip(rows, texts, strict=True):
            seed = hashlib.sha256((self._model + text).encode("utf-8", "surrogatepass")).digest()
            row[:] = np.random.default_rng(list(seed)).normal(size=4)
            row /= np.linalg.norm(row)
        return rows


PROBES = list(module._PROBES)


def encode(folder: Path, texts: Sequence[str], encoder: Counting | None = None) -> list[str]:
    """Ask for texts; what the encoder was asked for of them. The rows are always the right ones."""
    encoder = encoder or Counting()
    with kept_encodings(folder, encoder) as asked:
        assert asked is not None
        rows = asked(texts)
    expected = Counting(model=encoder._model).encode(texts)
    assert rows.dtype == np.float32
    assert np.array_equal(rows, expected)
    return [text for text in encoder.asked if text not in PROBES]


def test_only_new_texts_are_encoded(tmp_path: Path) -> None:
    assert encode(tmp_path, ["b", "a", "b"]) == ["b", "a"]
    assert encode(tmp_path, ["a", "c", "b"]) == ["c"]
    assert encode(tmp_path, ["c", "a", "b", "a"]) == []
    assert encode(tmp_path, []) == []


@given(st.lists(st.lists(st.text(max_size=2), max_size=6), max_size=4))
def test_whatever_is_asked_for_is_what_the_encoder_says(
    tmp_path_factory: pytest.TempPathFactory, calls: list[list[str]]
) -> None:
    folder = tmp_path_factory.mktemp("kept")
    known: set[str] = set()
    for texts in calls:
        assert set(encode(folder, texts)) == set(texts) - known
        known |= set(texts)


def test_another_encoder_has_its_own(tmp_path: Path) -> None:
    encode(tmp_path, ["a"])
    assert encode(tmp_path, ["a"], Counting("b" * 64)) == ["a"]
    assert encode(tmp_path, ["a"]) == []


def test_another_model_under_the_same_name_is_asked_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    encode(tmp_path, ["a"])
    assert encode(tmp_path, ["a"], Counting(model="newer")) == ["a"]
    assert "of another model" in caplog.text
    assert encode(tmp_path, ["a"], Counting(model="newer")) == []


@given(st.data())
def test_a_damaged_file_is_made_again(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("kept")
    encode(folder, ["a", "b"])
    (file,) = folder.iterdir()
    held = bytearray(file.read_bytes())
    place = data.draw(st.integers(0, len(held) - 1))
    held[place] ^= data.draw(st.integers(1, 255))
    file.write_bytes(held[: data.draw(st.sampled_from([place, len(held)]))])
    encode(folder, ["a", "b"])  # the right rows, whether kept or made


def test_nothing_is_kept_of_what_failed(tmp_path: Path) -> None:
    def broken() -> None:
        with kept_encodings(tmp_path, Counting()) as asked:
            assert asked is not None
            asked(["a"])
            raise RuntimeError("the policy is wrong")

    with pytest.raises(RuntimeError, match="the policy is wrong"):
        broken()
    assert encode(tmp_path, ["a"]) == ["a"]


def test_there_is_room_for_so_many_and_the_last_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 3)
    encode(tmp_path, ["a", "b"])
    encode(tmp_path, ["c", "d"])
    assert len(encode(tmp_path, ["a", "b"])) == 1
    assert encode(tmp_path, ["d"]) == ["d"]


def test_a_folder_that_cannot_be_written_costs_time_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    assert encode(tmp_path / "file" / "kept", ["a"]) == ["a"]
    assert "cannot be kept" in caplog.text


def test_where_there_is_no_encoder_there_is_nothing_to_keep(tmp_path: Path) -> None:
    with kept_encodings(tmp_path, None) as asked:
        assert asked is None
    assert not list(tmp_path.iterdir())


def test_no_text_is_in_the_file(tmp_path: Path) -> None:
    encode(tmp_path, ["Where does Mirelle Quay live?"])
    (file,) = tmp_path.iterdir()
    assert b"Mirelle" not in file.read_bytes()
    assert file.stat().st_mode & 0o027 == 0


def test_a_proxy_that_starts_again_encodes_nothing_and_serves_the_same_bundle(
    tmp_path: Path,
) -> None:
    examples = ["Who wrote the Harbor novels?", "Where does Mirelle Quay live?"]
    target = {
        "id": "harbor", "title": "Novels", "reason": "copyright", "owner": "a@example.com",
        "respond": "refuse", "detect": {"examples": examples},
    }  # fmt: skip
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump({"version": 1, "targets": [target]}))
    settings = load_settings(
        policies=tmp_path / "policy.yaml", bundles=tmp_path / "bundles", key="k" * 40,
        upstream="http://127.0.0.1:9",
    )  # fmt: skip
    first, again = Counting(), Counting()
    create_app(settings, encoder=first)
    bundles = sorted(each.name for each in (tmp_path / "bundles").iterdir())
    assert set(examples) <= set(first.asked)
    create_app(settings, encoder=again)
    assert [text for text in again.asked if text not in PROBES] == []
    assert sorted(each.name for each in (tmp_path / "bundles").iterdir()) == bundles
