"""What the prompt hands back: sentences of the context that touch a target in force are withheld.

A target's ``context`` setting says how: ``redact`` the sentence, ``drop`` the whole text,
``refuse`` the request, or ``allow`` it. With ``allow`` the target still holds for the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from guard.bundle import Bundle, BundleTarget
from guard.context import Span, Withheld, edit_context, split_sentences
from guard.decision import ContextEdit
from server.active import ActiveSet
from server.detection import Findings, Touched
from server.errors import FieldRefusedError
from server.wire.texts import RequestText


@dataclass(frozen=True, slots=True)
class Filtered:
    """What was withheld, or the target that has the whole request refused."""

    edits: tuple[ContextEdit, ...] = ()
    refused_by: BundleTarget | None = None


def filter_context(
    bundle: Bundle, active: ActiveSet, texts: Sequence[RequestText], findings: Findings
) -> Filtered:
    """Edit the request in place.

    Args:
        active: the targets in force; what others were detected in stays.

    Raises:
        FieldRefusedError: a name or key, which cannot be edited, touches a target.
    """
    if not active.targets:
        return Filtered()
    targets = {target.id: target for target in bundle.targets}
    edits: list[ContextEdit] = []
    for index, text in enumerate(texts):
        if text.last:
            continue
        touched = [t for t in findings.touched.get(index, ()) if t.target in active.targets]
        touched += _phrases(bundle, active, text.text)
        withheld: list[Withheld] = []
        for item in touched:
            action = targets[item.target].context
            if action == "refuse":
                return Filtered(refused_by=targets[item.target])
            if action != "allow":
                withheld.append(Withheld(item.span, item.target, action))
        if not withheld:
            continue
        if text.write is None:
            raise FieldRefusedError(
                f"`{text.place}` touches what this model must not use, and a name cannot be"
                " edited; leave it out",
                param=text.place,
            )
        edited, made = edit_context(text.place, text.text, withheld)
        text.write(edited)
        edits += made
    return Filtered(tuple(edits))


def _phrases(bundle: Bundle, active: ActiveSet, text: str) -> list[Touched]:
    """The sentences that hold a forbidden phrase, whatever detection made of them."""
    found = active.search(text)
    if not found:
        return []
    sentences = split_sentences(text)
    return [
        Touched(Span(span.start, span.end), bundle.targets[target].id)
        for target, match in found
        for span in sentences
        if span.start < match.end and match.start < span.end
    ]
