"""Starts and stops the real stack: the demo model, vLLM with the guard, the proxy."""

from typing import Final

# What the command line puts before the one sentence of an error, and the supervisor looks for.
SENTENCE: Final = "unlearn-guard: "
