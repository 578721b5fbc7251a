"""Attacks on a guarded endpoint, each scored by itself: ``unlearn-guard attack``.

Read ``family.py`` for what an attack is, ``families/`` for those there are, ``decode.py`` and
``score.py`` for what counts as a leak.
"""
