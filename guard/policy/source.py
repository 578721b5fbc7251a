"""YAML text to plain data, with the line of every value and a bound on what it may cost.

PyYAML's own composer keeps the last of two equal keys, follows aliases without a bound and recurses
as deep as the text asks for. This one reads the parser's events in a loop: duplicate keys are
errors, expanded size and depth are bounded, and only plain data types exist.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import yaml

from guard.errors import PolicyError

MAX_BYTES: Final = 1 << 20
MAX_VALUES: Final = 100_000
MAX_DEPTH: Final = 32

# Documents that are not parsed again while they stay as they are: parsing is most of a reload.
_REMEMBERED: Final = 1024

# As YAML ends a line (https://yaml.org/spec/1.1/#b-generic), so that its line numbers fit.
_LINE_END: Final = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
# "Agent #7", and not "Agent  # seven of them".
_GLUED: Final = re.compile(r" *(#(?:\d.*|\w\S*))\s*$")

_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAGS: Final = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "timestamp")
)

FieldPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A YAML file read.

    Attributes:
        file: its name as the operator gave it.
        data: plain data.
        lines: 1-based line of each value (of its key, in a mapping), by path.
        cut: what stands behind a value without quotes as a comment of one word, by path.
    """

    file: str
    data: Any
    lines: dict[FieldPath, int]
    cut: dict[FieldPath, str] = field(default_factory=dict)

    def line(self, path: FieldPath) -> int:
        """The line of the value at ``path``, or of the nearest value around it."""
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path[:-1]
        return self.lines.get((), 1)


@dataclass(slots=True)
class _Node:
    line: int
    value: Any  # scalar | list[_Node] | dict[str, _Node]
    key_lines: dict[str, int] = field(default_factory=dict)
    size: int = 1
    depth: int = 1
    cut: str = ""


@dataclass(slots=True)
class _Open:
    node: _Node
    anchor: str | None
    key: str | None = None


@lru_cache(maxsize=_REMEMBERED)
def read_yaml(text: str, file: str) -> Source:
    """Read one YAML document; what it gives is remembered, and must not be changed.

    Raises:
        PolicyError: not YAML, too large, not plain data, or a key given twice.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise PolicyError(
            f"file is larger than {MAX_BYTES >> 10} KiB",
            fix="split the policy into several files of one folder, and keep examples in .jsonl",
            file=file,
        )
    try:
        root = _Builder(file).build(text)
    except yaml.YAMLError as error:
        raise _syntax_error(error, file, text) from error
    lines: dict[FieldPath, int] = {}
    cut: dict[FieldPath, str] = {}
    return Source(file, _plain(root, (), lines, cut), lines, cut)


def _syntax_error(error: yaml.YAMLError, file: str, text: str) -> PolicyError:
    mark: Any = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "is not YAML"
    fix = "check the indentation, and put quotes around text with a `:`, `#`, `'` or `*` in it"
    rows = _LINE_END.split(text)
    row = rows[mark.line] if mark is not None and mark.line < len(rows) else ""
    first = row[mark.column : mark.column + 1] if row else ""
    if "quoted scalar" in str(getattr(error, "context", "")) and "end of stream" in problem:
        mark, problem = getattr(error, "context_mark", mark), "a quotation mark that is not closed"
        fix = "close it, or put the other kind of quotation mark around text with this one in it"
    elif first and "\t" in (first, *row[: len(row) - len(row.lstrip())]):
        problem, fix = "a tab", "indent with spaces alone"
    elif first and first in "@`%":
        fix = f"put quotes around text that begins with `{first}`"
    line = mark.line + 1 if mark is not None else 0
    return PolicyError(f"not valid YAML: {problem}", fix=fix, file=file, line=line)


class _Builder:
    """Builds nodes from parser events, without recursion."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.anchors: dict[str, _Node] = {}
        self.open: list[_Open] = []
        self.root: _Node | None = None
        self.scalars = yaml.SafeLoader("")

    def build(self, text: str) -> _Node:
        documents = 0
        rows = _LINE_END.split(text)
        for event in yaml.parse(text, Loader=_LOADER):
            mark = event.start_mark
            line = mark.line + 1 if mark is not None else 0
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._error(line, "holds a second document", "use one file for each")
            elif isinstance(event, yaml.ScalarEvent):
                node = _Node(line, self._scalar(event, line), cut=_comment_behind(event, rows))
                self._add(node, event.anchor)
            elif isinstance(event, (yaml.SequenceStartEvent, yaml.MappingStartEvent)):
                self._start(event, line)
            elif isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
                done = self.open.pop()
                self._add(done.node, done.anchor)
            elif isinstance(event, yaml.AliasEvent):
                known = self.anchors.get(event.anchor or "")
                if known is None:
                    raise self._error(
                        line, f"`*{event.anchor}` has no anchor", f"define `&{event.anchor}` before"
                    )
                self._add(known, None)
        return self.root if self.root is not None else _Node(1, None)

    def _error(self, line: int, problem: str, fix: str) -> PolicyError:
        return PolicyError(problem, fix=fix, file=self.file, line=line)

    def _start(self, event: Any, line: int) -> None:
        mapping = isinstance(event, yaml.MappingStartEvent)
        if event.tag not in (None, "!", f"tag:yaml.org,2002:{'map' if mapping else 'seq'}"):
            raise self._error(line, f"tag `{event.tag}` is not supported", "remove the tag")
        if len(self.open) >= MAX_DEPTH:
            raise self._error(
                line, f"is nested deeper than {MAX_DEPTH} levels", "flatten the policy"
            )
        self.open.append(_Open(_Node(line, {} if mapping else []), event.anchor))

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> Any:
        tag = event.tag
        if tag is None or tag == "!":
            tag = self.scalars.resolve(yaml.ScalarNode, event.value, event.implicit)  # type: ignore[no-untyped-call]
        if tag == "tag:yaml.org,2002:merge":
            raise self._error(line, "`<<` merges are not supported", "write the fields out")
        if tag not in _TAGS:
            raise self._error(line, f"tag `{tag}` is not supported", "remove the tag")
        node = yaml.ScalarNode(tag, event.value)
        try:
            event.value.encode()  # a lone surrogate is no text
            return self.scalars.construct_object(node)
        except (ValueError, KeyError, OverflowError, yaml.YAMLError) as error:
            if tag == "tag:yaml.org,2002:timestamp":
                raise self._error(
                    line, f"`{event.value[:40]}` is no day of the calendar", "correct it"
                ) from error
            raise self._error(
                line, f"`{event.value[:40]}` cannot be read", "put quotes around it, or correct it"
            ) from error

    def _add(self, node: _Node, anchor: str | None) -> None:
        if anchor:
            self.anchors[anchor] = node
        if not self.open:
            self.root = node
            return
        parent = self.open[-1]
        if isinstance(parent.node.value, dict):
            if parent.key is None:
                parent.key = self._key(parent.node, node)
                return
            parent.node.value[parent.key] = node
            parent.key = None
        else:
            parent.node.value.append(node)
        parent.node.size += node.size
        parent.node.depth = max(parent.node.depth, node.depth + 1)
        if parent.node.size > MAX_VALUES:
            raise self._error(
                node.line,
                f"holds more than {MAX_VALUES} values, counting each use of an anchor",
                "split the policy, or keep lists in data files",
            )
        if len(self.open) + node.depth > MAX_DEPTH:
            raise self._error(
                node.line, f"is nested deeper than {MAX_DEPTH} levels", "flatten the policy"
            )

    def _key(self, parent: _Node, node: _Node) -> str:
        if isinstance(node.value, (dict, list)):
            raise self._error(node.line, "a key is not a word", "use a plain field name")
        key = node.value if isinstance(node.value, str) else str(node.value)
        if key in parent.value or key in parent.key_lines:
            raise self._error(
                node.line,
                f"`{key}` is given twice (first in line {parent.key_lines[key]})",
                "keep one of them",
            )
        parent.key_lines[key] = node.line
        return key


def _comment_behind(event: yaml.ScalarEvent, rows: list[str]) -> str:
    """A comment of one word, or that begins with a number, right behind a value; or nothing."""
    mark = event.end_mark
    if event.style or mark is None or mark.line >= len(rows):
        return ""
    found = _GLUED.match(rows[mark.line], mark.column)
    return found[1] if found else ""


def _plain(
    node: _Node, path: FieldPath, lines: dict[FieldPath, int], cut: dict[FieldPath, str]
) -> Any:
    # Depth is bounded by MAX_DEPTH, so this may recurse.
    lines.setdefault(path, node.line)
    if node.cut:
        cut[path] = node.cut
    if isinstance(node.value, list):
        return [_plain(item, (*path, index), lines, cut) for index, item in enumerate(node.value)]
    if isinstance(node.value, dict):
        plain = {}
        for key, item in node.value.items():
            lines[(*path, key)] = node.key_lines[key]
            plain[key] = _plain(item, (*path, key), lines, cut)
        return plain
    return node.value
