"""Scalability and sustainability, MUSE's C5 and C6: as more is to be forgotten, what happens?

The guard must be told anew at each step, so an operator says how, in a file: either one guarded URL
for each step (proxies with their own policies), or the targets of each step, which are then posted
to ``/admin/targets`` of the one guarded proxy and taken back at the end.

*Scalability*: forget sets that grow, each holding the one before. *Sustainability*: requests that
come one after another, all in force from then on. To a guard that keeps what it was told these are
the same; that nothing forgotten earlier comes back is what the second is for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import httpx
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from guard.errors import GuardError
from server.evaluation.asking import Endpoint, bearer

_FORM: Final = (
    "`version: 1`, `kind: scalability` and `steps: [{name: two authors, forget: [f00, f01],"
    " targets: [a.yaml]}]`, or `guarded: URL` in place of `targets`"
)
Kind = Literal["scalability", "sustainability"]


class _Step(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    forget: list[str] = []
    guarded: str = ""
    targets: list[str] = []


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1]
    kind: Kind
    steps: list[_Step] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Step:
    """One state of the guard.

    Attributes:
        forget: the authors that are forgotten in it; empty where MUSE's files say so.
        guarded: the address of a proxy with its policy; empty where targets are posted.
        targets: bodies for ``/admin/targets``.
    """

    name: str
    forget: tuple[str, ...]
    guarded: str
    targets: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Steps:
    """The states in their order."""

    kind: Kind
    steps: Sequence[Step]

    @property
    def posts(self) -> bool:
        """Whether targets are posted to one proxy."""
        return any(step.targets for step in self.steps)


def read_steps(file: Path) -> Steps:
    """The steps of a YAML file. Paths of targets start at its folder.

    Raises:
        GuardError: it cannot be used; with the field and the fix.
    """
    try:
        found = _File.model_validate(_yaml(file))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"])) or "the file"
        raise GuardError(
            f"`{file}`: `{field}`: {first['msg'].lower()}", fix=f"write {_FORM}"
        ) from error
    steps: list[Step] = []
    for place, each in enumerate(found.steps):
        if bool(each.guarded) == bool(each.targets):
            raise GuardError(
                f"`{file}`: `steps.{place}`: needs either `guarded` or `targets`",
                fix=f"write {_FORM}",
            )
        if steps and bool(steps[0].guarded) != bool(each.guarded):
            raise GuardError(
                f"`{file}`: `steps.{place}`: some steps have `guarded` and some `targets`",
                fix="choose one way for all of them",
            )
        if steps and bool(steps[0].forget) != bool(each.forget):
            raise GuardError(
                f"`{file}`: `steps.{place}`: some steps have `forget` and some have none",
                fix="name in each step the authors that are forgotten by then, or in none",
            )
        if steps and each.forget and not set(steps[-1].forget) < set(each.forget):
            raise GuardError(
                f"`{file}`: `steps.{place}.forget`: does not hold all of the step before, and more",
                fix="let each step add to what is forgotten",
            )
        targets = tuple(_targets(file.parent / name) for name in each.targets)
        steps.append(
            Step(
                each.name,
                tuple(each.forget),
                each.guarded,
                tuple(target for own in targets for target in own),
            )
        )
    return Steps(found.kind, steps)


def _targets(file: Path) -> list[dict[str, Any]]:
    """The targets of a policy file, or the one target that a file is."""
    values = _yaml(file)
    own = values.get("targets", [values]) if isinstance(values, dict) else None
    if not isinstance(own, list) or not all(isinstance(t, dict) and "id" in t for t in own):
        raise GuardError(
            f"`{file}`: is neither a policy nor a target", fix="give a target with its `id`"
        )
    return own


def _yaml(file: Path) -> Any:
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise GuardError(
            f"`{file}` cannot be read as YAML ({type(error).__name__})",
            fix="check the path, which starts at the steps file's folder",
        ) from error


class Targets:
    """Targets put into force on a proxy for a while; a context that takes them back."""

    def __init__(self, proxy: Endpoint, admin_key: str) -> None:
        """
        Raises:
            GuardError: there is no admin key.
        """
        if not admin_key:
            raise GuardError(
                "steps with `targets` need the proxy's admin key",
                fix="set `UNLEARN_GUARD_EVAL_ADMIN_KEY`",
            )
        self._client = httpx.Client(
            base_url=proxy.url, headers=bearer(admin_key), timeout=120, trust_env=False
        )
        self._posted: list[str] = []

    def __enter__(self) -> Targets:
        return self

    def post(self, targets: Sequence[Mapping[str, Any]]) -> None:
        """Put targets into force that are not yet; returns once they are.

        Raises:
            GuardError: the proxy does not take one, with what it says.
        """
        for target in targets:
            name = str(target["id"])
            if name in self._posted:
                continue
            if self._call("GET", f"/admin/targets/{name}").status_code == 200:
                raise GuardError(
                    f"the target `{name}` is in force already, so its steps cannot be measured",
                    fix="serve a policy without the targets of the steps",
                )
            answer = self._call("POST", "/admin/targets", dict(target))
            if answer.status_code not in (200, 201):
                raise GuardError(
                    f"the proxy does not take the target `{name}`"
                    f" (status {answer.status_code}: {answer.text[:300]})",
                    fix="correct the target, or check `UNLEARN_GUARD_EVAL_ADMIN_KEY`",
                )
            self._posted.append(name)

    def _call(self, method: str, path: str, body: Any = None) -> httpx.Response:
        try:
            return self._client.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise GuardError(
                f"the proxy's `{path}` does not answer ({type(error).__name__})",
                fix="check that `--guarded` is a proxy of unlearn-guard",
            ) from error

    def __exit__(self, *_: object) -> None:
        try:
            for name in reversed(self._posted):
                self._call("DELETE", f"/admin/targets/{name}")
        finally:
            self._client.close()
