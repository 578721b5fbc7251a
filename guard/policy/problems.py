"""Several problems of one policy, reported together so that an operator mends them in one go."""

from __future__ import annotations

from collections.abc import Sequence

from guard.errors import PolicyError


class InvalidPolicyError(PolicyError):
    """All that is wrong with a policy; its text has one line for each problem.

    Args:
        errors: at least one, in the order of the files; the first lends its ``file``, ``line``,
            ``field``, ``problem`` and ``fix``.
    """

    def __init__(self, errors: Sequence[PolicyError]) -> None:
        first = errors[0]
        super().__init__(
            first.problem, fix=first.fix, file=first.file, line=first.line, field=first.field
        )
        self.errors = tuple(errors)
        self.args = ("\n".join(str(error) for error in errors),)
