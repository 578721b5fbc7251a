"""Targets that the admin API has written: one YAML file each, in the policy folder.

They are policy files like any other, so that an operator can read, move and version them. A first
line marks them: only files with it are ever replaced or removed here.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath
from typing import Any, Final

import yaml
from pydantic import ValidationError

from guard.errors import PolicyError
from guard.policy.messages import translate
from guard.policy.model import Place
from guard.policy.schema import Target
from guard.policy.source import read_yaml
from server.errors import ConflictError, FieldError, TargetNotFoundError

MARK: Final = "# Written by POST /admin/targets, which replaces this file; DELETE removes it.\n"

Undo = Callable[[], None]


def check_target(raw: dict[str, Any]) -> Target:
    """The target that a request gives, as a policy file would be read.

    Raises:
        FieldError: it names the field and the fix; the first problem, and how many there are.
    """
    try:
        source = read_yaml(_dump(raw), "target")
    except (PolicyError, yaml.YAMLError) as error:
        raise FieldError(f"the target cannot be written as YAML: {error}") from error
    try:
        target = Target.model_validate(source.data)
    except ValidationError as error:
        raise field_error(translate(error, Place(source, ()))) from error
    for field, given in _paths(target):
        path = PurePath(given)
        if path.is_absolute() or ".." in path.parts:
            raise FieldError(
                f"`{field}`: names a file outside of the policy folder;"
                " give a path below it, or the texts themselves",
                param=field,
            )
    return target


def field_error(errors: list[PolicyError], prefix: str = "") -> FieldError:
    """Problems of a target as one answer: the first of them, and how many more there are."""
    first = errors[0]
    field = first.field.removeprefix(prefix).removeprefix(".") or None
    where = f"`{field}`: " if field else ""
    more = f" ({len(errors) - 1} more after it)" if len(errors) > 1 else ""
    return FieldError(f"{where}{first.problem}; {first.fix}{more}", param=field)


def _paths(target: Target) -> Iterator[tuple[str, str]]:
    detect, forbid = target.detect, target.forbid
    if isinstance(detect.examples, str):
        yield "detect.examples", detect.examples
    if isinstance(detect.counterexamples, str):
        yield "detect.counterexamples", detect.counterexamples
    if forbid.extract is not None:
        yield "forbid.extract.from", forbid.extract.source
    if forbid.verbatim is not None:
        corpus = forbid.verbatim.corpus
        for pattern in [corpus] if isinstance(corpus, str) else corpus:
            yield "forbid.verbatim.corpus", pattern


def _dump(raw: dict[str, Any]) -> str:
    return yaml.safe_dump(raw, allow_unicode=True, sort_keys=False, width=100)


class TargetFiles:
    """The files of a policy folder that are ours.

    Args:
        path: the policy that the proxy serves; targets can only be added where it is a folder.
    """

    def __init__(self, path: Path) -> None:
        self._folder = path

    def file_of(self, target_id: str) -> Path:
        """Where a target is, or would be, written."""
        return self._folder / f"{target_id}.yaml"

    def holds(self, target_id: str) -> bool:
        """Whether a target was written here."""
        try:
            with self.file_of(target_id).open(encoding="utf-8") as file:
                return file.readline() == MARK
        except (OSError, UnicodeDecodeError):
            return False

    def read(self, target_id: str) -> dict[str, Any]:
        """A target as it was given.

        Raises:
            TargetNotFoundError: it was not written here.
        """
        if not self.holds(target_id):
            raise TargetNotFoundError(f"no target `{target_id}` was added through this API")
        data = read_yaml(self.file_of(target_id).read_text("utf-8"), target_id).data
        found: dict[str, Any] = data["targets"][0]
        return found

    def write(self, target_id: str, raw: dict[str, Any]) -> Undo:
        """Write a target, aside and then into place.

        Returns:
            What puts the folder back as it was.

        Raises:
            ConflictError: the policy is no folder, or cannot be written, or an operator's own file
                is in the way.
        """
        if not self._folder.is_dir():
            raise ConflictError(
                "the policy is a single file, so no target can be added;"
                " serve a folder of policy files (`--policies`)"
            )
        file = self.file_of(target_id)
        if file.exists() and not self.holds(target_id):
            raise ConflictError(
                f"`{file.name}` is an operator's own file;"
                " edit the target there, or give this one another id"
            )
        before = file.read_bytes() if file.exists() else None
        text = MARK + _dump({"version": 1, "targets": [raw]})
        self._replace(file, text.encode())
        return lambda: self._put_back(file, before)

    def remove(self, target_id: str) -> Undo:
        """Remove a target.

        Returns:
            What puts it back.

        Raises:
            TargetNotFoundError: there is none.
            ConflictError: it is in an operator's own file, or the folder cannot be written.
        """
        file = self.file_of(target_id)
        if not self.holds(target_id):
            if file.exists():
                raise ConflictError(f"`{file.name}` is an operator's own file; remove it there")
            raise TargetNotFoundError(f"no target `{target_id}` was added through this API")
        before = file.read_bytes()
        try:
            file.unlink()
            _sync(self._folder)
        except OSError as error:
            raise _not_writable(error) from error
        return lambda: self._put_back(file, before)

    def _put_back(self, file: Path, before: bytes | None) -> None:
        if before is None:
            file.unlink(missing_ok=True)
            _sync(self._folder)
        else:
            self._replace(file, before)

    def _replace(self, file: Path, content: bytes) -> None:
        aside = self._folder / f".{file.name}.{secrets.token_hex(4)}"
        try:
            with os.fdopen(
                os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640), "wb"
            ) as out:
                out.write(content)
                out.flush()
                os.fsync(out.fileno())
            aside.rename(file)
            _sync(self._folder)
        except OSError as error:
            aside.unlink(missing_ok=True)
            raise _not_writable(error) from error


def _sync(folder: Path) -> None:
    """Have a rename survive a crash."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _not_writable(error: OSError) -> ConflictError:
    return ConflictError(
        f"the policy folder cannot be written ({error.strerror});"
        " give the proxy's user the right to, or mount it writable"
    )
