"""Settings of the proxy: environment variables ``UNLEARN_GUARD_*``, or flags that mirror them."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from guard.plan import KEY_FILE_VARIABLE, KEY_VARIABLE, load_key
from server.errors import SettingsError

PREFIX: Final = "UNLEARN_GUARD_"
STDOUT: Final = "-"
# In the place of an encoder's name.
NO_ENCODER: Final = "none"
_ADMIN_LENGTH: Final = 16
_ADMIN_FIX: Final = (
    "make a key with `openssl rand -hex 32`; its digest is `printf %s KEY | sha256sum`"
)


def _http_url(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise ValueError("must be an http:// or https:// address, such as http://127.0.0.1:8001")
    return value.rstrip("/").removesuffix("/v1")


class Settings(BaseSettings):
    """What the proxy is told from outside.

    Attributes:
        upstream: address of the guarded vLLM, without ``/v1``.
        upstream_api_key: sent to the upstream as a bearer token; never the client's key.
        policies: a policy file, or a folder of them.
        bundles: folder of compiled policies; the engine must see the same folder.
        encoder: name or path of the sentence encoder, or ``http://HOST/v1#MODEL`` for one behind
            an OpenAI-compatible API; unset for the packaged one, ``none`` to do without (policies
            with examples are then refused).
        encoder_api_key: sent to that API as a bearer token.
        admin_key: opens ``/admin/``: the key itself, of at least 16 characters, or ``sha256:`` and
            its hex digest. Without it, and without ``admin_key_file``, nobody may use these paths.
        decision_log: file that one JSON line per request is appended to; ``-`` is standard output.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="ignore", env_ignore_empty=True, frozen=True
    )

    upstream: Annotated[str, AfterValidator(_http_url)] = "http://127.0.0.1:8001"
    upstream_api_key: SecretStr | None = None
    policies: Path = Path("policies")
    bundles: Path = Path(".cache/bundles")
    key: SecretStr | None = None
    key_file: Path | None = None
    admin_key: SecretStr | None = None
    admin_key_file: Path | None = None
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    encoder: str | None = None
    encoder_api_key: SecretStr | None = None
    decision_log: str = STDOUT
    max_body_bytes: int = Field(1 << 20, ge=1024)
    upstream_timeout_s: float = Field(600.0, gt=0)
    canary_interval_s: float = Field(30.0, gt=0)

    def signing_key(self) -> bytes:
        """The key shared with the engine.

        Raises:
            PlanError: none set, unreadable or too short.
        """
        return load_key(
            {
                KEY_VARIABLE: self.key.get_secret_value() if self.key else "",
                KEY_FILE_VARIABLE: str(self.key_file) if self.key_file else "",
            }
        )

    def admin_digest(self) -> str:
        """The hex sha256 of the admin key; empty where none is set.

        Raises:
            SettingsError: unreadable, too short, or not a digest.
        """
        name, key = f"{PREFIX}ADMIN_KEY", ""
        if self.admin_key is not None:
            key = self.admin_key.get_secret_value()
        elif self.admin_key_file is not None:
            name = f"{PREFIX}ADMIN_KEY_FILE"
            try:
                key = self.admin_key_file.read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise SettingsError(
                    f"`{name}`: `{self.admin_key_file}` cannot be read as text",
                    fix="check the path and its permissions",
                ) from error
            if not key.strip():
                raise SettingsError(f"`{name}`: the file is empty", fix=_ADMIN_FIX)
        key = key.strip()
        if key.startswith("sha256:"):
            digest = key.removeprefix("sha256:").lower()
            if not re.fullmatch("[0-9a-f]{64}", digest):
                raise SettingsError(f"`{name}`: not `sha256:` and 64 hex digits", fix=_ADMIN_FIX)
            return digest
        if key and len(key) < _ADMIN_LENGTH:
            raise SettingsError(
                f"`{name}`: shorter than {_ADMIN_LENGTH} characters", fix=_ADMIN_FIX
            )
        return hashlib.sha256(key.encode()).hexdigest() if key else ""


def load_settings(**flags: Any) -> Settings:
    """Settings from the environment, overridden by those flags that are not None.

    Raises:
        SettingsError: a value that cannot be used; it names the variable.
    """
    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        problem = first["msg"].removeprefix("Value error, ")
        raise SettingsError(
            f"`{PREFIX}{name.upper()}`: {problem[:1].lower()}{problem[1:]}",
            fix=f"correct the variable or the flag `--{name.replace('_', '-')}`",
        ) from error
