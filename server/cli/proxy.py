"""``unlearn-guard proxy``: the guarding proxy before a vLLM that runs already."""

from __future__ import annotations

import argparse
import contextlib
import logging
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn

from server.app import create_app
from server.collector import what_is_there_spared
from server.errors import SettingsError
from server.settings import PREFIX, Settings, load_settings

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

_GRACE_S = 10

_FLAGS: tuple[tuple[str, type, str], ...] = (
    ("upstream", str, "address of the guarded vLLM"),
    ("policies", Path, "policy file, or folder of policy files"),
    ("bundles", Path, "folder of compiled policies, shared with the engine"),
    ("key-file", Path, "file that holds the key shared with the engine"),
    ("admin-key-file", Path, "file that holds the key of /admin/targets, or its digest"),
    ("host", str, "address to listen on"),
    ("port", str, "port to listen on"),
    ("encoder", str, "name or folder of the sentence encoder, or http://HOST/v1#MODEL; `none`"),
    ("decision-log", str, "file for one JSON line per request; `-` for standard output"),
    ("max-body-bytes", str, "largest request body"),
    ("upstream-timeout-s", str, "longest wait for a piece of an answer"),
    ("canary-interval-s", str, "time between two probes of the engine"),
)


def register(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "proxy",
        help="run the guarding proxy before an existing vLLM",
        description="Run the guarding proxy before an existing vLLM. Each flag overrides the"
        f" environment variable of its name, such as {PREFIX}UPSTREAM. Keys are taken from the"
        f" environment alone: {PREFIX}KEY (or --key-file), {PREFIX}ADMIN_KEY (or"
        f" --admin-key-file), {PREFIX}UPSTREAM_API_KEY and {PREFIX}ENCODER_API_KEY.",
    )
    for name, kind, text in _FLAGS:
        parser.add_argument(f"--{name}", type=kind, default=None, help=text)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the proxy until it is stopped.

    Raises:
        GuardError: it cannot start, and why.
    """
    flags: dict[str, Any] = {name.replace("-", "_"): None for name, _, _ in _FLAGS}
    flags = {name: getattr(args, name) for name in flags}
    settings = load_settings(**flags)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    for noisy in ("httpx", "sentence_transformers", "watchfiles"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    listener = listen(settings)
    with listener:
        app = create_app(settings)
        config = uvicorn.Config(
            app,
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=_GRACE_S,
        )
        host, port = listener.getsockname()[:2]
        logging.getLogger("unlearn_guard").info("listening on http://%s:%d", host, port)
        # uvicorn shuts down in good order, then raises the signal that made it.
        with what_is_there_spared(), contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])
    return 0


def listen(settings: Settings) -> socket.socket:
    """Take the port before anything slow is done.

    Raises:
        SettingsError: it is in use, or not ours to take.
    """
    try:
        infos = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, address = infos[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise SettingsError(
            f"`{PREFIX}HOST`: `{settings.host}` is not an address to listen on ({error.strerror})",
            fix="use 127.0.0.1, or 0.0.0.0 for every interface",
        ) from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"cannot listen on {settings.host}:{settings.port} ({error.strerror})",
            fix="stop what uses the port, or choose another with `--port`",
        ) from error
    return listener
