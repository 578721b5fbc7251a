"""The compiled loops need numba, which vLLM brings; in tests they watch where they write."""

import importlib.util

collect_ignore_glob: list[str] = []
if importlib.util.find_spec("numba"):
    import numba

    numba.config.BOUNDSCHECK = 1
else:
    collect_ignore_glob += ["test_*.py"]
