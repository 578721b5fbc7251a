"""``unlearn-guard serve``: the whole stack, started and watched."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from guard.plan import BUNDLES_VARIABLE
from server.launch.places import Places, default_places
from server.launch.supervise import ServeOptions, serve

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def register(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "serve",
        help="start vLLM with the guard, and the proxy before it",
        description="Start vLLM with the guard's logits processor, and the proxy before it; wait"
        " for both; stop both on Ctrl-C. Arguments after `--` go to vLLM.",
        epilog="The signing key is made anew for each run, unless UNLEARN_GUARD_KEY or"
        " UNLEARN_GUARD_KEY_FILE gives one. The proxy's other settings are taken from its"
        " environment variables; see `unlearn-guard proxy --help`.",
    )
    parser.add_argument("--model", default="", help="folder or hub id (default: the demo model)")
    parser.add_argument(
        "--upstream", default="", metavar="URL", help="a guarded vLLM to use instead of a new one"
    )
    parser.add_argument(
        "--policies", type=Path, default=Path("policies"), help="policy file, or folder of them"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=_port, default=8000, help="port to listen on (8000)")
    parser.add_argument(
        "--bundles", type=Path, metavar="DIR", help="folder shared with the engine of --upstream"
    )
    parser.add_argument("--cache", type=Path, metavar="DIR", help="converted models and bundles")
    parser.add_argument("--run-dir", type=Path, metavar="DIR", help="logs of this run")
    parser.add_argument("engine_arguments", nargs="*", metavar="-- VLLM_ARGUMENT")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until stopped.

    Raises:
        GuardError: it cannot start, or a part ended.
    """
    usual = default_places()
    bundles = args.bundles or (
        Path(os.environ[BUNDLES_VARIABLE]) if BUNDLES_VARIABLE in os.environ else None
    )
    options = ServeOptions(
        policies=args.policies,
        places=Places(args.cache or usual.cache, args.run_dir or usual.run),
        model=args.model,
        upstream=args.upstream,
        host=args.host,
        port=args.port,
        bundles=bundles,
        engine_arguments=tuple(args.engine_arguments),
    )
    return serve(options, sys.stderr)


def _port(text: str) -> int:
    try:
        port = int(text)
    except ValueError:
        port = -1
    if not 1 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"`{text}` is not a port; use a number from 1 to 65535")
    return port
