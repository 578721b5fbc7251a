"""The command line: ``unlearn-guard serve | proxy | check | compile | train | ...``."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Final

from guard.errors import GuardError
from server.launch import SENTENCE

# Which module has a command. Only the one asked for is imported, so that `schema` answers at once.
_MODULES: Final = {
    "serve": "server.cli.serve",
    "proxy": "server.cli.proxy",
    "check": "server.cli.policy",
    "compile": "server.cli.policy",
    "schema": "server.cli.policy",
    "calibrate": "server.cli.calibrate",
    "train": "server.cli.train",
    "eval": "server.cli.eval",
    "memorise": "server.cli.memorise",
    "attack": "server.cli.attack",
}

FAILED: Final = 2
# As a shell tells of a command that nobody reads any longer: 128 and SIGPIPE.
UNREAD: Final = 141
_OWN: Final = frozenset({"server", "guard", "classifiers"})


def parser_for(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """The parser, with every command, or with those of the module that ``arguments`` ask for."""
    parser = argparse.ArgumentParser(
        prog="unlearn-guard",
        description="Make a model behave as if it had unlearned a forget target. The knowledge is"
        " suppressed while the model answers; it is not erased from the model.",
    )
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    asked = arguments[0] if arguments else ""
    modules = [_MODULES[asked]] if asked in _MODULES else dict.fromkeys(_MODULES.values())
    for module in modules:
        importlib.import_module(module).register(subparsers)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status, 2 for an error that the user can mend."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # What a terminal cannot show is told by its number, and ends nothing.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        args = parser_for(given).parse_args(given)
        status: int = args.run(args)
        sys.stdout.flush()
    except GuardError as error:
        print(f"{SENTENCE}{error}", file=sys.stderr)
        return FAILED
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if not package or package in _OWN:
            raise
        print(f"{SENTENCE}{_not_installed(package)}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        # What is left to write has nowhere to go, and Python would try once more as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNREAD
    except KeyboardInterrupt:
        return 130
    return status


def _not_installed(package: str) -> GuardError:
    return GuardError(
        f"the Python package `{package}` is not installed here",
        fix="install `unlearn-guard` with its dependencies; where vLLM's own packages must stay as"
        " they are, in an environment of its own (README, Beside your own vLLM)",
    )


if __name__ == "__main__":
    sys.exit(main())
