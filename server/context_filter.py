"""What the prompt hands back: sentences of the context that touch a target in force are withheld.

A target's ``context`` setting says how: ``redact`` the sentence, ``drop`` the whole text,
``refuse`` the request, or ``allow`` it. With ``allow`` the target still holds for the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from guard.bundle import Bundle, BundleTarget
from guard.context import Span, Withheld, edit_context, overlapping, split_sentences
from guard.decision import ContextEdit
from guard.lexicon import is_word
from guard.normalise import normalise
from guard.phrase_table import BundlePhrase
from guard.views import View, find_views
from server.active import ActivePolicy, ActiveSet
from server.detection import Findings, Touched
from server.errors import FieldRefusedError
from server.wire.texts import RequestText


@dataclass(frozen=True, slots=True)
class Filtered:
    """What was withheld, or the target that has the whole request refused."""

    edits: tuple[ContextEdit, ...] = ()
    refused_by: BundleTarget | None = None


def filter_context(
    policy: ActivePolicy, active: ActiveSet, texts: Sequence[RequestText], findings: Findings
) -> Filtered:
    """Edit the request in place.

    Args:
        active: the targets in force; what others were detected in stays.

    Raises:
        FieldRefusedError: a name or key, which cannot be edited, touches a target.
    """
    if not active.any:
        return Filtered()
    nowhere, not_in_turns = _quiet(policy, findings, texts)
    edits: list[ContextEdit] = []
    for index, text in enumerate(texts):
        if text.last:
            continue
        touched = [t for t in findings.touched.get(index, ()) if active.holds(t.target)]
        views = findings.views.get(index)  # None where detection failed, under `on_error: open`
        views = find_views(text.text) if views is None else views
        touched += [
            each
            for each in [
                *_phrases(policy, active, text, views),
                *_over_parts(policy.bundle, active, text, views),
            ]
            if each.target not in nowhere and not (text.turn and each.target in not_in_turns)
        ]
        withheld: list[Withheld] = []
        for item in touched:
            target = policy.targets[item.target]
            action = target.context
            if action == "refuse":
                return Filtered(refused_by=target)
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


def _quiet(
    policy: ActivePolicy, findings: Findings, texts: Sequence[RequestText]
) -> tuple[set[str], set[str]]:
    """Targets that nobody names or asks about now, and that do not hold in every answer.

    A phrase that is forbidden in answers about a target ("florist", "genre") tells nothing of it
    where the talk is of somebody else. So where sentences of the context say what answers do,
    those are withheld, and no others; and where earlier turns are like a question, so are those,
    and of the other turns nothing. A turn that goes on with them asks about the target as well.

    Returns:
        Those whose phrases count in no text, and those whose phrases count in what is no turn,
        such as documents.
    """
    asked = max((index for index, text in enumerate(texts) if text.last and text.turn), default=0)
    earlier = {text.place for text in texts[:asked] if text.turn}
    nowhere, not_in_turns = set[str](), set[str]()
    for detection in findings.merged:
        if detection.target in policy.standing:
            continue
        evidence = [each for each in detection.evidence if each.kind != "statement"]
        if not evidence:
            nowhere.add(detection.target)
        elif all(each.kind != "alias" and each.place in earlier for each in evidence):
            not_in_turns.add(detection.target)
    return nowhere, not_in_turns


def _phrases(
    policy: ActivePolicy, active: ActiveSet, text: RequestText, views: Sequence[View]
) -> list[Touched]:
    """The sentences that say a forbidden phrase or hide one, whatever detection made of them."""
    found = [(phrase, Span(match.start, match.end)) for phrase, match in active.search(text.text)]
    found += active.search_hidden(text.text, views)
    targets = policy.bundle.targets
    said = [(phrase, targets[phrase.target].id, span) for phrase, span in found]
    if text.write is None:
        said = [each for each in said if not _labels(each[0], policy.standing, each[1])]
    if not said:
        return []
    sentences = split_sentences(text.text)
    return [
        Touched(sentence, target)
        for _, target, span in said
        for sentence in overlapping(sentences, span)
    ]


def _labels(phrase: BundlePhrase, standing: AbstractSet[str], target: str) -> bool:
    """Whether a phrase in a name is but what programs call things by ("page", "genre").

    A name cannot be edited, so what it tells has the whole request refused; a single word of the
    dictionary tells nothing there that would be worth it.
    """
    return target not in standing and is_word(phrase.text)


def _over_parts(
    bundle: Bundle, active: ActiveSet, text: RequestText, views: Sequence[View]
) -> list[Touched]:
    """All of a message whose parts, with no gap between, say or hide what is forbidden.

    Some chat templates put none there; what the parts say with gaps is found sentence by sentence.
    """
    if not text.glued:
        return []

    def said(within: str) -> dict[tuple[int, str], None]:
        found = active.search(within)
        return {(said.target, normalise(within[m.start : m.end])): None for said, m in found}

    def hidden(within: str, seen: Sequence[View]) -> dict[int, None]:
        return dict.fromkeys(said.target for said, _ in active.search_hidden(within, seen))

    new = [target for target, _ in said(text.glued).keys() - said(text.text).keys()]
    glued_views = find_views(text.glued)
    new += hidden(text.glued, glued_views).keys() - hidden(text.text, views).keys()
    every = Span(0, len(text.text))
    return [Touched(every, bundle.targets[target].id) for target in sorted(set(new))]
