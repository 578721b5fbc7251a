"""The errors of the guard, all of them. Each says what is wrong and carries the fix.

``server/errors.py`` maps them to HTTP statuses; the command line prints them as one sentence.
"""

from __future__ import annotations


class GuardError(Exception):
    """Something the guard cannot go on from.

    Args:
        problem: what is wrong, lower case, in the user's terms.
        fix: what the reader can do about it.
    """

    def __init__(self, problem: str, *, fix: str = "") -> None:
        self.problem = problem
        self.fix = fix
        super().__init__(f"{problem}; {fix}" if fix else problem)


class PolicyError(GuardError):
    """A policy file that cannot be used.

    Args:
        file: path as the operator gave it.
        line: 1-based line of the offending value, 0 where no line applies.
        field: dotted path of the field, such as ``targets[0].detect.aliases``.
    """

    def __init__(
        self, problem: str, *, fix: str = "", file: str = "", line: int = 0, field: str = ""
    ) -> None:
        self.file, self.line, self.field = file, line, field
        place = f"{file}:{line}" if line else file
        where = f"{place}: " if place else ""
        name = f"`{field}`: " if field else ""
        super().__init__(f"{where}{name}{problem}", fix=fix)


class BundleError(GuardError):
    """A bundle that is absent, altered or of another format."""


class PlanError(GuardError):
    """A request without a plan that this engine can trust."""


class EngineUnsupportedError(GuardError):
    """An engine that the guard has not been verified on."""
