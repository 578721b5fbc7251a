"""Asks a proxy to take out of documents what they hand back of the targets in force.

Whatever fails raises: no document comes back that the guard has not looked at, unless the policy's
own ``on_error: open`` lets it through.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx

from guard.errors import GuardError

PATH: Final = "/v1/guard/context"
TIMEOUT_S: Final = 30.0

Document = dict[str, Any]
Filtered = list[Document | None]


class ContextRefusedError(GuardError):
    """A document touches a target that has the whole request refused.

    Attributes:
        message: what to tell the user.
    """

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(
            "the guard refuses what was retrieved",
            fix="answer with the error's `message`, and ask no model",
        )


class ContextUnguardedError(GuardError):
    """The guard did not look at the documents, so they must not be used."""


@dataclass(frozen=True, slots=True)
class ContextClient:
    """A proxy's context filter.

    Args:
        base_url: of the proxy, with or without ``/v1``.
        api_key: of a tenant, where the policy has tenants.
    """

    base_url: str
    api_key: str = ""
    timeout_s: float = TIMEOUT_S

    def filter(self, documents: Sequence[Document], query: str = "") -> Filtered:
        """The documents as they may be used, in order; None for one that is to be left out.

        Args:
            documents: JSON objects of any shape. What JSON does not know (a date) is looked at as
                text, and comes back as it was.
            query: what they were retrieved for.

        Raises:
            ContextRefusedError: nothing of them may be used, by the policy.
            ContextUnguardedError: the proxy cannot be reached, or did not answer with 200.
        """
        if not documents:
            return []
        body = _body(documents, query)
        try:
            with httpx.Client(timeout=self.timeout_s) as client:
                answer = client.post(self._url, headers=self._headers, content=body)
        except httpx.HTTPError as error:
            raise _unreachable(error) from error
        return _read(answer, documents)

    async def afilter(self, documents: Sequence[Document], query: str = "") -> Filtered:
        """As ``filter``."""
        if not documents:
            return []
        body = _body(documents, query)
        try:
            async with httpx.AsyncClient(timeout=self.timeout_s) as client:
                answer = await client.post(self._url, headers=self._headers, content=body)
        except httpx.HTTPError as error:
            raise _unreachable(error) from error
        return _read(answer, documents)

    @property
    def _url(self) -> str:
        return self.base_url.rstrip("/").removesuffix("/v1") + PATH

    @property
    def _headers(self) -> dict[str, str]:
        headers = {"content-type": "application/json"}
        return {**headers, "authorization": f"Bearer {self.api_key}"} if self.api_key else headers


def _body(documents: Sequence[Document], query: str) -> bytes:
    body: dict[str, Any] = {"documents": list(documents)}
    if query:
        body["query"] = query
    return json.dumps(body, default=str).encode()


def _unreachable(error: httpx.HTTPError) -> ContextUnguardedError:
    return ContextUnguardedError(
        f"the guard cannot be asked ({type(error).__name__})",
        fix="check `base_url`, and that the proxy runs",
    )


def _read(answer: httpx.Response, documents: Sequence[Document]) -> Filtered:
    try:
        body = answer.json()
        if answer.status_code != 200:
            error = body["error"]
            raise ContextUnguardedError(
                f"the guard answered {answer.status_code}: {error['message']}",
                fix="correct the request, or ask the guard's operator",
            )
        if body["refused"] is not None:
            raise ContextRefusedError(body["refused"]["message"])
        rows = body["documents"]
        if [row["index"] for row in rows] != list(range(len(documents))):
            raise ValueError("documents are missing")
        return [
            None if row["dropped"] else _edited(document, row)
            for document, row in zip(documents, rows, strict=True)
        ]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ContextUnguardedError(
            "the answer is not the guard's", fix="check that `base_url` is a proxy's"
        ) from error


def _edited(document: Document, row: dict[str, Any]) -> Document:
    """The document with what was edited put in place, all else as it was."""
    edited = copy.deepcopy(document)
    for edit in row["edits"]:
        *way, last = edit["path"]
        there: Any = edited
        new: Any = row["document"]
        for step in way:
            there, new = there[step], new[step]
        if last not in there if isinstance(there, dict) else last >= len(there):
            raise KeyError(last)
        there[last] = new[last]
    return edited
