"""The guard plan: what the engine must hold for one request, signed by the proxy.

A plan travels as one string inside the engine request (``vllm_xargs`` →
``SamplingParams.extra_args``), under the name ``XARG``::

    ug1.<base64url of canonical JSON>.<hex HMAC-SHA256 of "ug1.<base64url>">

Every request carries one, "nothing active" included, so that a request which did not come through
the proxy is refused by the engine. The expiry bounds how long a captured plan could be replayed by
someone who can reach the engine; it is checked when the engine admits the request, not later, so a
long queue does no harm.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from guard.canonical import canonical_json
from guard.errors import PlanError

XARG: Final = "unlearn_guard"
KEY_VARIABLE: Final = "UNLEARN_GUARD_KEY"
KEY_FILE_VARIABLE: Final = "UNLEARN_GUARD_KEY_FILE"
BUNDLES_VARIABLE: Final = "UNLEARN_GUARD_BUNDLES"
MIN_KEY_BYTES: Final = 32
DEFAULT_LIFETIME_S: Final = 300

_VERSION: Final = "ug1"

PlanMode = Literal["enforce", "probe"]


@dataclass(frozen=True, slots=True)
class GuardPlan:
    """What must hold while one answer is generated.

    Attributes:
        bundle: digest of the bundle that names the targets.
        targets: ids of the targets to enforce, besides those that the bundle holds always.
        exempt: ids of targets that hold always, but not for this caller.
        said: which of the bundle's cues the user has said, and may have said back.
        mode: ``probe`` for the canary, whose answer the engine scripts (see guard/engine/probe.py).
        nonce: what the canary's answer must say; empty otherwise.
        day: when it was made, in UTC, as ``datetime.date.toordinal``: it says which targets have
            expired, so that no worker of one engine, nor the proxy, takes it to be another day.
    """

    bundle: str
    targets: tuple[str, ...] = ()
    mode: PlanMode = "enforce"
    nonce: str = ""
    exempt: tuple[str, ...] = ()
    said: tuple[int, ...] = ()
    day: int = field(default_factory=lambda: datetime.now(UTC).toordinal())


def load_key(environ: Mapping[str, str] = os.environ) -> bytes:
    """The key shared by proxy and engine, from ``UNLEARN_GUARD_KEY`` or ``…_KEY_FILE``.

    Raises:
        PlanError: none set, unreadable, or shorter than 32 bytes.
    """
    text = environ.get(KEY_VARIABLE, "")
    if not text and (path := environ.get(KEY_FILE_VARIABLE)):
        try:
            text = Path(path).read_text().strip()
        except OSError as error:
            raise PlanError(
                f"`{KEY_FILE_VARIABLE}` names a file that cannot be read ({error.strerror})",
                fix="mount the key file for proxy and engine alike",
            ) from error
        except UnicodeDecodeError as error:
            raise PlanError(
                f"`{KEY_FILE_VARIABLE}` names a file that is not text",
                fix="write the key as text, for example with `openssl rand -hex 32`",
            ) from error
    # An environment variable may hold any bytes; Python keeps them as surrogates.
    key = text.encode(errors="surrogateescape")
    if len(key) < MIN_KEY_BYTES:
        raise PlanError(
            f"no signing key of at least {MIN_KEY_BYTES} bytes in `{KEY_VARIABLE}`"
            f" or `{KEY_FILE_VARIABLE}`",
            fix="give proxy and engine the same key, for example from `openssl rand -hex 32`",
        )
    return key


def sign_plan(
    plan: GuardPlan, key: bytes, *, now: float | None = None, lifetime_s: int = DEFAULT_LIFETIME_S
) -> str:
    """The plan as the string that the engine accepts until ``lifetime_s`` from ``now``."""
    fields: dict[str, Any] = {
        "b": plan.bundle,
        "t": sorted(plan.targets),
        "m": plan.mode,
        "n": plan.nonce,
        "x": sorted(plan.exempt),
        "s": sorted(plan.said),
        "d": plan.day,
        "e": int(time.time() if now is None else now) + lifetime_s,
    }
    body = base64.urlsafe_b64encode(canonical_json(fields)).decode().rstrip("=")
    return f"{_VERSION}.{body}.{_signature(body, key)}"


def verify_plan(text: object, key: bytes, *, now: float | None = None) -> GuardPlan:
    """Read a signed plan, as the engine does when it admits a request.

    Raises:
        PlanError: missing, malformed, wrongly signed or expired.
    """
    plan, expires = _read_signed(text, key)
    if (time.time() if now is None else now) > expires:
        raise PlanError(
            "the guard plan has expired", fix="check the clocks of proxy and engine, then retry"
        )
    return plan


def admitted_plan(text: object, key: bytes) -> GuardPlan:
    """Read the plan of a request that was admitted before; its expiry no longer matters.

    Raises:
        PlanError: missing, malformed or wrongly signed.
    """
    return _read_signed(text, key)[0]


def _signature(body: str, key: bytes) -> str:
    return hmac.new(key, f"{_VERSION}.{body}".encode(), hashlib.sha256).hexdigest()


def _read_signed(text: object, key: bytes) -> tuple[GuardPlan, int]:
    if not isinstance(text, str) or not text:
        raise PlanError(
            "the request carries no guard plan",
            fix="send requests to the unlearn-guard proxy, not to the engine",
        )
    version, _, rest = text.partition(".")
    body, _, signature = rest.partition(".")
    # A signed plan is ASCII; other text might not even encode (a lone surrogate from JSON).
    if (
        not text.isascii()
        or version != _VERSION
        or not hmac.compare_digest(signature, _signature(body, key))
    ):
        raise PlanError(
            "the guard plan's signature is not valid", fix="give proxy and engine the same key"
        )
    try:
        fields = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        plan = GuardPlan(
            fields["b"],
            tuple(fields["t"]),
            fields["m"],
            fields["n"],
            tuple(fields["x"]),
            tuple(map(int, fields["s"])),
            int(fields["d"]),
        )
        return plan, int(fields["e"])
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise PlanError(
            "the guard plan is malformed", fix="run the same version of proxy and engine"
        ) from error
