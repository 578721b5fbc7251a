"""An automaton compiled for one tokenizer: what a token does to a state, and what it completes.

Reading a body moves a state in one look-up instead of one step per character. Most bodies lead to
a state that depends on the body alone; the others, which continue a phrase begun before the
token, are listed as exceptions under the key ``state * n_bodies + body``.

A *completion* is a (state, body) pair whose reading would write the last letter of a phrase. It
counts at once on letters alone; as words, only with a separator or the end of the token after it.
Completions live in three tables, by where the phrase began: ``chain`` (before the token, keyed like
the exceptions), ``start`` (right at the token, after a separator; keyed by body) and ``inside``
(within the token; keyed by body). ``start`` and ``inside`` hold for many states at once, and
listing them per state would repeat them thousandfold.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from guard.bundle import BundlePhrase
from guard.engine.bodies import EMPTY_BODY, Bodies, CutVocabulary, build_bodies
from guard.normalise import SEP
from guard.phrases import PhraseAutomaton

HARD_PENALTY: Final = float("-inf")
# In logits. Enough to turn a model with any alternative, not one that has none.
SOFT_PENALTY: Final = -8.0

Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Completions:
    """Completed phrases by key, sorted; a key may stand in several rows.

    Attributes:
        keys: [n] int64.
        target: [n] int32, index into the bundle's targets.
        penalty: [n] float32, added to the logit.
        inside: [n] bool, False where the phrase counts only if a word ends with the body.
        multiplicity: how many rows share a key at most.
    """

    keys: Int64Array
    target: Int32Array
    penalty: FloatArray
    inside: npt.NDArray[np.bool_]
    multiplicity: int


@dataclass(frozen=True, slots=True, eq=False)
class TokenLists:
    """Tokens to penalise, by key (a state, or 0 for lists that hold everywhere).

    Attributes:
        offsets: [n_keys + 1] int64, rows of key k are ``offsets[k]:offsets[k + 1]``.
        token, target: [n] int32.
        penalty: [n] float32, added to the logit.
        longest: rows of the longest list.
    """

    offsets: Int64Array
    token: Int32Array
    target: Int32Array
    penalty: FloatArray
    longest: int


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """One automaton for one tokenizer, as arrays.

    Attributes:
        longest: characters of the longest pattern.
        next_after_letter, next_after_sep: [n_bodies] int32, the state that a body leads to when it
            continues no phrase, by what was read before it.
        ends_in_sep: [n_states] bool.
        exception_keys: [m] int64 sorted; exception_states: [m] int32.
        chain, start, inside: completions by body.
        chain_tokens: per state; start_tokens, inside_tokens: one list each, under key 0.
    """

    bodies: Bodies
    start_state: int
    n_states: int
    longest: int
    letters_alone: bool
    next_after_letter: Int32Array
    next_after_sep: Int32Array
    ends_in_sep: npt.NDArray[np.bool_]
    exception_keys: Int64Array
    exception_states: Int32Array
    chain: Completions
    start: Completions
    inside: Completions
    chain_tokens: TokenLists
    start_tokens: TokenLists
    inside_tokens: TokenLists


# (phrase, counts whatever follows the body)
_Hit = tuple[int, bool]


class _BodyTrie:
    """The bodies as a trie, so that one walk meets every body that follows a path."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.edges: list[dict[str, int]] = [{}]
        self.body: list[int] = [EMPTY_BODY]
        for body, text in enumerate(texts):
            node = 0
            for symbol in text:
                following = self.edges[node].get(symbol)
                if following is None:
                    following = len(self.edges)
                    self.edges[node][symbol] = following
                    self.edges.append({})
                    self.body.append(-1)
                node = following
            self.body[node] = body

    def below(self, node: int) -> list[int]:
        """Every body at or below a node."""
        found, stack = [], [node]
        while stack:
            at = stack.pop()
            if self.body[at] >= 0:
                found.append(self.body[at])
            stack.extend(self.edges[at].values())
        return found


def _walk_from(
    state: int, automaton: PhraseAutomaton, trie: _BodyTrie
) -> tuple[dict[int, int], set[tuple[int, _Hit]]]:
    """Bodies that continue the phrases which a state is in the middle of.

    Returns:
        The state each such body leads to, and (body, hit) for each phrase it completes.
    """
    moves: dict[int, int] = {}
    hits: set[tuple[int, _Hit]] = set()
    stack = [(0, state)]
    absorbs = automaton.ends_in_sep[state]
    if absorbs and (after := trie.edges[0].get(SEP)) is not None:
        moves[trie.body[after]] = state
        stack.append((after, state))
    while stack:
        node, at = stack.pop()
        for symbol, below in trie.edges[node].items():
            if node == 0 and symbol == SEP and absorbs:
                continue  # entered above
            following = automaton.goto[at].get(symbol)
            if following is None:
                continue
            body = trie.body[below]
            if body >= 0:
                moves[body] = following
            for phrase in automaton.own(following):
                closed = below if automaton.letters_alone else trie.edges[below].get(SEP)
                if closed is not None:
                    hits.update((longer, (phrase, True)) for longer in trie.below(closed))
                if body >= 0 and not automaton.letters_alone:
                    hits.add((body, (phrase, False)))
            stack.append((below, following))
    return moves, hits


def _inside_hits(automaton: PhraseAutomaton, texts: Sequence[str]) -> set[tuple[int, _Hit]]:
    """Phrases that a body holds whole, the separator before them included."""
    hits: set[tuple[int, _Hit]] = set()
    for body, text in enumerate(texts):
        state = PhraseAutomaton.ROOT
        for place, symbol in enumerate(text):
            state = automaton.step(state, symbol)
            at_end = place + 1 == len(text)
            closed = automaton.letters_alone or (not at_end and text[place + 1] == SEP)
            if closed or at_end:
                hits.update((body, (phrase, closed)) for phrase in automaton.outputs[state])
    return hits


def _penalty_of(phrase: BundlePhrase) -> float:
    return HARD_PENALTY if phrase.strength == "hard" else SOFT_PENALTY


def _completions(hits: Sequence[tuple[int, _Hit]], phrases: Sequence[BundlePhrase]) -> Completions:
    """One row per key, target and kind, with the hardest penalty of the phrases that share it."""
    worst: dict[tuple[int, int, bool], float] = {}
    for key, (phrase, inside) in hits:
        row = (key, phrases[phrase].target, inside)
        worst[row] = min(worst.get(row, 0.0), _penalty_of(phrases[phrase]))
    rows = sorted(worst.items())
    keys = np.array([row[0] for row, _ in rows], np.int64)
    counts = np.unique(keys, return_counts=True)[1]
    return Completions(
        keys=keys,
        target=np.array([row[1] for row, _ in rows], np.int32),
        penalty=np.array([penalty for _, penalty in rows], np.float32),
        inside=np.array([row[2] for row, _ in rows], np.bool_),
        multiplicity=int(counts.max(initial=0)),
    )


def _token_lists(
    completions: Completions, n_keys: int, n_bodies: int, bodies: Bodies
) -> TokenLists:
    """Expand completions from bodies to tokens; keys are ``state * n_bodies + body``."""
    tokens_of: dict[int, list[int]] = defaultdict(list)
    for token, body in enumerate(bodies.plain[:-1].tolist()):
        if body != EMPTY_BODY:
            tokens_of[body].append(token)
    worst: dict[tuple[int, int, int], float] = {}
    rows = zip(
        completions.keys.tolist(),
        completions.target.tolist(),
        completions.penalty.tolist(),
        strict=True,
    )
    for key, target, penalty in rows:
        state, body = divmod(key, n_bodies)
        for token in tokens_of.get(body, ()):
            entry = (state, token, target)
            worst[entry] = min(worst.get(entry, 0.0), penalty)
    entries = sorted(worst.items())
    counts = np.bincount(np.array([entry[0] for entry, _ in entries], np.int64), minlength=n_keys)
    return TokenLists(
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        token=np.array([entry[1] for entry, _ in entries], np.int32),
        target=np.array([entry[2] for entry, _ in entries], np.int32),
        penalty=np.array([penalty for _, penalty in entries], np.float32),
        longest=int(counts.max(initial=0)),
    )


def build_tables(
    phrases: Sequence[BundlePhrase], vocabulary: CutVocabulary, *, letters_alone: bool
) -> Tables:
    """Compile phrases for a vocabulary.

    Args:
        phrases: normalised; ``target`` indexes the bundle's targets.
        vocabulary: of the served tokenizer.
        letters_alone: how they match (see guard/phrases.py).
    """
    texts = [phrase.text for phrase in phrases]
    automaton = PhraseAutomaton(texts, letters_alone=letters_alone)
    alphabet = set().union(*map(set, texts)) if texts else set()
    bodies = build_bodies(vocabulary, alphabet, letters_alone=letters_alone)
    n_bodies, n_states = len(bodies.texts), len(automaton)
    trie = _BodyTrie(bodies.texts)

    # A state inherits what the shorter suffixes of its text can do, its own path first; the chain
    # ends before the starting state, whose part is `next_after_sep` and `start`.
    shallow = {PhraseAutomaton.ROOT, automaton.start}
    moves: dict[int, dict[int, int]] = {state: {} for state in shallow}
    hits: dict[int, set[tuple[int, _Hit]]] = {state: set() for state in shallow}
    for state in sorted(range(n_states), key=automaton.depth.__getitem__):
        if state in shallow:
            continue
        own_moves, own_hits = _walk_from(state, automaton, trie)
        shorter = automaton.fail[state]
        moves[state] = {**moves[shorter], **own_moves}
        hits[state] = hits[shorter] | own_hits

    exceptions = sorted(
        (state * n_bodies + body, target)
        for state, by_body in moves.items()
        for body, target in by_body.items()
    )
    chain = _completions(
        [(state * n_bodies + body, hit) for state, found in hits.items() for body, hit in found],
        phrases,
    )
    inside_hits = _inside_hits(automaton, bodies.texts)
    inside = _completions(list(inside_hits), phrases)
    start_hits: set[tuple[int, _Hit]] = set()
    if not letters_alone:
        # A body that brings its own separator is in both: twice would double a soft penalty.
        start_hits = _walk_from(automaton.start, automaton, trie)[1] - inside_hits
    start = _completions(list(start_hits), phrases)
    return Tables(
        bodies=bodies,
        start_state=automaton.start,
        n_states=n_states,
        longest=max(automaton.depth),
        letters_alone=letters_alone,
        next_after_letter=np.array(
            [automaton.walk(PhraseAutomaton.ROOT, text) for text in bodies.texts], np.int32
        ),
        next_after_sep=np.array(
            [automaton.walk(automaton.start, text) for text in bodies.texts], np.int32
        ),
        ends_in_sep=np.array(automaton.ends_in_sep, np.bool_),
        exception_keys=np.array([key for key, _ in exceptions], np.int64),
        exception_states=np.array([state for _, state in exceptions], np.int32),
        chain=chain,
        start=start,
        inside=inside,
        chain_tokens=_token_lists(chain, n_states, n_bodies, bodies),
        start_tokens=_token_lists(start, 1, n_bodies, bodies),
        inside_tokens=_token_lists(inside, 1, n_bodies, bodies),
    )
