"""``/admin/targets``: add, change, look at and remove targets while the proxy runs.

``POST`` takes one target as JSON, with the fields of a policy file's. It is written into the policy
folder, compiled, proved on the engine and then in force, before it is answered; or else the folder
is as it was, and the answer says why. ``unlearn_guard.admin`` logs ids, never a target's text.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from collections.abc import Callable
from typing import Any

from starlette.requests import Request as HttpRequest
from starlette.types import Receive, Scope, Send

from guard.bundle import BundleTarget
from guard.errors import GuardError
from guard.policy.problems import InvalidPolicyError
from server.active import PolicyHolder
from server.errors import (
    AdminOffError,
    ApiError,
    BodyTooLargeError,
    ConflictError,
    GuardUnavailableError,
    InternalError,
    MethodNotAllowedError,
    TargetNotFoundError,
    UnauthorizedError,
)
from server.reload import Reloader
from server.routes.replies import (
    ClientGoneError,
    header,
    read_json_body,
    send_body,
    send_early_error,
    send_error,
)
from server.target_files import TargetFiles, Undo, check_target, field_error
from server.wire.answers import to_json
from server.wire.parse import json_object

_log = logging.getLogger("unlearn_guard.admin")


class TargetsEndpoint:
    """ASGI app of ``/admin/targets`` and ``/admin/targets/ID``.

    Args:
        key_digest: hex sha256 of the admin key; empty where none is set, and nothing is allowed.
        reloader: gives the reloader, once the app runs.
    """

    def __init__(
        self,
        files: TargetFiles,
        policies: PolicyHolder,
        reloader: Callable[[], Reloader],
        *,
        key_digest: str,
        max_body_bytes: int,
    ) -> None:
        self._files = files
        self._policies = policies
        self._reloader = reloader
        self._key_digest = key_digest
        self._limit = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        try:
            self._authorize(header(scope, b"authorization"))
            status, answer = await self._answer(scope, receive)
            await send_body(send, status, to_json(answer))
        except ClientGoneError:
            return
        except BodyTooLargeError as error:
            await send_early_error(send, receive, error, headers={})
        except ApiError as error:
            await send_error(send, error)
        except Exception as error:
            # Its text may quote the target.
            _log.error("admin: a change failed (%s)", type(error).__name__)
            await send_error(send, InternalError())

    def _authorize(self, authorization: str) -> None:
        if not self._key_digest:
            raise AdminOffError(
                "the admin API is off; set `UNLEARN_GUARD_ADMIN_KEY` or"
                " `UNLEARN_GUARD_ADMIN_KEY_FILE` to turn it on"
            )
        scheme, _, key = authorization.partition(" ")
        digest = hashlib.sha256(key.strip().encode("utf-8", "surrogateescape")).hexdigest()
        if scheme.lower() != "bearer" or not hmac.compare_digest(digest, self._key_digest):
            raise UnauthorizedError(
                "this is not the admin key; send the header `Authorization: Bearer ADMIN_KEY`"
            )

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[int, dict[str, Any]]:
        method, target_id = scope["method"], scope.get("path_params", {}).get("target")
        if target_id is None:
            if method == "POST":
                return await self._post(await read_json_body(scope, receive, self._limit))
            if method in ("GET", "HEAD"):
                every = self._policies.current.targets.values()
                return 200, {"object": "list", "data": [self._shown(each) for each in every]}
            raise _not_allowed(scope, "GET, POST")
        if method == "DELETE":
            return await self._delete(target_id)
        if method in ("GET", "HEAD"):
            return self._one(target_id)
        raise _not_allowed(scope, "GET, DELETE")

    async def _post(self, body: bytes) -> tuple[int, dict[str, Any]]:
        raw = json_object(body)
        target = check_target(raw)
        new = target.id not in self._policies.current.targets
        if not new and not self._files.holds(target.id):
            raise ConflictError(
                f"the target `{target.id}` stands in an operator's own policy file;"
                " change it there, or give this one another id",
                param="id",
            )
        await self._change(target.id, lambda: self._files.write(target.id, raw))
        warnings = self._reloader().compiled.warnings
        own = str(self._files.file_of(target.id))
        return 201 if new else 200, {
            **self._shown(self._policies.current.targets[target.id]),
            "bundle": self._policies.current.bundle.digest,
            "warnings": [
                {
                    "field": warning.field.removeprefix("targets[0]").removeprefix("."),
                    "problem": warning.problem,
                    "fix": warning.fix,
                }
                for warning in warnings
                if warning.file == own
            ],
        }

    async def _delete(self, target_id: str) -> tuple[int, dict[str, Any]]:
        known = target_id in self._policies.current.targets
        if known and not self._files.holds(target_id):
            raise ConflictError(
                f"the target `{target_id}` stands in an operator's own policy file; remove it there"
            )
        if not known:
            raise TargetNotFoundError(f"there is no target `{target_id[:64]}`")
        await self._change(target_id, lambda: self._files.remove(target_id))
        digest = self._policies.current.bundle.digest
        return 200, {"id": target_id, "deleted": True, "bundle": digest}

    def _one(self, target_id: str) -> tuple[int, dict[str, Any]]:
        found = self._policies.current.targets.get(target_id)
        if found is None:
            raise TargetNotFoundError(f"there is no target `{target_id[:64]}`")
        shown = self._shown(found)
        if shown["managed"]:
            shown["target"] = self._files.read(target_id)
        return 200, shown

    async def _change(self, target_id: str, edit: Callable[[], Undo]) -> None:
        """Edit the folder and put it into force, or leave both as they were.

        Raises:
            ApiError: it did not come into force, and why.
        """
        started = time.monotonic()
        try:
            await self._reloader().change(edit)
        except InvalidPolicyError as error:
            own = str(self._files.file_of(target_id))
            errors = [each for each in error.errors if each.file == own]
            _log.warning("admin: target `%s` was not taken: the policy has a problem", target_id)
            if errors:
                raise field_error(errors, "targets[0]") from None
            first = error.errors[0]
            raise ConflictError(
                f"with this change the policy cannot be used:"
                f" {first.file}:{first.line}: `{first.field}`: {first.problem}; {first.fix}"
            ) from None
        except GuardError as error:
            _log.warning("admin: target `%s` was not taken: %s", target_id, type(error).__name__)
            raise GuardUnavailableError(
                f"the change is not in force and was taken back: {error}"
            ) from None
        _log.info(
            "admin: the change of target `%s` is in force after %.3f s (bundle %s)",
            target_id,
            time.monotonic() - started,
            self._policies.current.bundle.digest[:12],
        )

    def _shown(self, target: BundleTarget) -> dict[str, Any]:
        return {
            "id": target.id,
            "title": target.title,
            "reason": target.reason,
            "owner": target.owner,
            "expires": target.expires or None,
            "mode": target.mode,
            "respond": target.respond,
            "context": target.context,
            "always": target.always,
            "managed": self._files.holds(target.id),
        }


def _not_allowed(scope: Scope, allow: str) -> MethodNotAllowedError:
    where = f"`{scope['method']} {HttpRequest(scope).url.path[:200]}`"
    return MethodNotAllowedError(f"{where} is not allowed; use {allow}", allow=allow)
