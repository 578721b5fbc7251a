"""The command line as `unlearn-guard` parses it, for one command and its tests."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any


def runner(register: Callable[[Any], None]) -> Callable[..., int]:
    """What runs the commands that ``register`` adds, and gives their exit status."""

    def run(*arguments: str | Path) -> int:
        parser = argparse.ArgumentParser()
        register(parser.add_subparsers())
        args = parser.parse_args([str(argument) for argument in arguments])
        status = args.run(args)
        assert isinstance(status, int)
        return status

    return run
