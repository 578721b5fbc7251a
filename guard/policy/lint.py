"""What a policy may say and its owner hardly means: each leaves a target less guarded, silently."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from guard.errors import PolicyError
from guard.policy.model import Place, PolicyWarning
from guard.policy.source import Source

SUFFIXES: Final = frozenset({".yaml", ".yml"})

# A name of a file that holds prompts or answers; no prompt is one word with such an end.
_PATH: Final = re.compile(r"[^\s]+\.(?:jsonl|json|csv|txt|ya?ml)", re.IGNORECASE)
# What regular expressions and file patterns are made of, and names are not.
_PATTERN: Final = re.compile(
    r"\.[*+]|\\[bdswBDSW]|\[[^\]]*\w-\w[^\]]*\]|\(\?|\([^()]*\|[^()]*\)|^\^|\w\$$"
    r"|(?<!\S)\*\w{3}|\w{3}\*(?!\S)"
)
# One of these stands in all that is told of; in most names none does.
_SIGN: Final = re.compile(r"[.*+\\\[(^$|;,\n\t]")
_APART: Final = re.compile(r"\s*[;|\n\t]\s*")
_COMMA: Final = re.compile(r"\s*,\s+")
# Fields of free text.
_FREE: Final = frozenset(
    {"aliases", "counterexamples", "examples", "phrases", "prompt", "refusal", "title"}
)
# A part of a policy that only a policy has.
_TARGETS: Final = re.compile(r"^[\"']?targets[\"']?\s*:", re.MULTILINE)
_HEAD: Final = 1 << 16


def check_item(text: str, place: Place, what: str) -> Iterator[PolicyWarning]:
    """An alias or a phrase that can hardly be found as it is written.

    Args:
        what: ``alias`` or ``phrase``.
    """
    if _SIGN.search(text) is None:
        return
    if _PATH.fullmatch(text) and _is_file(Path(place.source.file).parent / text):
        yield place.warning(
            f"`{text}` is taken as text, and a file of this name is not read",
            f"write each {what} as an item of its own",
        )
    elif _PATTERN.search(text):
        yield place.warning(
            f"`{text}` looks like a pattern, and is compared word by word as it stands",
            "write each form as an item of its own; plurals and other endings are found by"
            " themselves",
        )
    elif len(parts := _several(text, what)) > 1:
        yield place.warning(
            f"`{text}` is one {what}, found only where all of it stands in a row",
            f"write its {len(parts)} parts as items of their own",
        )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # in a folder that is not ours, or a name that no file can have
        return False


def _several(text: str, what: str) -> list[str]:
    parts = [part for part in _APART.split(text) if part]
    if len(parts) == 1 and what == "alias":
        names = [part for part in _COMMA.split(text) if part]
        # "Washington, D.C." is one name, as is "The Lion, the Witch and the Wardrobe".
        if len(names) > 2 and all(name[0].isupper() for name in names):
            return names
    return parts


def path_in_a_list(prompt: str, place: Place) -> PolicyError | None:
    """The error where a list of prompts holds the name of a file of prompts."""
    if not _PATH.fullmatch(prompt):
        return None
    name = place.path[-2]
    return place.error(
        "is a file's name where a prompt is asked for, and the file would not be read",
        f"write `{name}: {prompt}` for the whole of `{name}`",
    )


def blank_fields(given: Collection[str], place: Place) -> Iterator[PolicyWarning]:
    """Fields that were written down and left without a value.

    Args:
        given: their names.
        place: of what holds them.
    """
    for name in given:
        yield place.at(name).warning("has no value, and does nothing", "fill it in, or remove it")


def cut_by_comments(source: Source) -> Iterator[PolicyWarning]:
    """Values that YAML ends at a ``#``, such as the name in ``- Agent #7``."""
    for path, comment in source.cut.items():
        if _FREE.isdisjoint(path):
            continue
        yield Place(source, path).warning(
            f"ends before ` {comment}`, which YAML reads as a comment",
            "put quotes around the whole value if it belongs to it",
        )


def skipped_files(folder: Path, used: Collection[Path]) -> Iterator[PolicyWarning]:
    """Files of a policy folder, or just below it, that look like policies and are not read.

    Args:
        used: files that the policy reads; folders of data are not looked into.

    Raises:
        OSError: the folder cannot be listed.
    """
    data = {path.parent.resolve() for path in used}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.suffix.lower() in SUFFIXES:
            continue
        if path.is_dir():
            if not any(each.is_relative_to(path.resolve()) for each in data):
                yield from _policies_below(path)
        elif any(suffix.lower() in SUFFIXES for suffix in path.suffixes[:-1]):
            yield PolicyWarning(
                "is not read, since its name does not end in .yaml or .yml",
                "rename it, or move it out of the folder", str(path), 1, "",
            )  # fmt: skip


def _policies_below(folder: Path) -> Iterator[PolicyWarning]:
    try:
        files = [each for each in sorted(folder.iterdir()) if each.suffix.lower() in SUFFIXES]
    except OSError:  # none of the policy's business
        return
    for file in files:
        if _is_policy(file):
            yield PolicyWarning(
                "is not read: folders within the folder of policies are not looked into",
                f"move it to `{folder.parent}`, or out of there", str(file), 1, "",
            )  # fmt: skip


def _is_policy(file: Path) -> bool:
    try:
        with file.open(encoding="utf-8-sig", errors="replace") as text:
            return _TARGETS.search(text.read(_HEAD)) is not None
    except OSError:
        return False
