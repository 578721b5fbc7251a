"""Several problems of one policy, reported together so that an operator mends them in one go."""

from __future__ import annotations

from collections.abc import Sequence

from guard.errors import PolicyError


class InvalidPolicyError(PolicyError):
    """All that is wrong with a policy; its text has one line for each problem.

    Args:
        errors: at least one; the first lends its ``file``, ``line`` and ``field``.
    """

    def __init__(self, errors: Sequence[PolicyError]) -> None:
        first = errors[0]
        super().__init__("", file=first.file, line=first.line, field=first.field)
        self.errors = tuple(errors)
        self.problem = "\n".join(str(error) for error in errors)
        self.fix = ""  # each line has its own
        self.args = (self.problem,)
