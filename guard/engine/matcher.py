"""The matching core: advances automaton states and penalises logits, on whole batches of tensors.

Both vLLM adapters use it, on whatever device the logits are on. Shapes are those of the rows that
are handed in (``B``), never of the whole batch; nothing here waits for the device, except where a
host-side check saves work and the tensors already live on the host.

A row's place in its text is ``state`` [3] int64: the state of the automaton for words, that of the
automaton on letters alone, and the packed unfinished code point that the text ends with (0 for
none; see ``guard.engine.bodies.pack_pending``).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from guard.bundle import BundlePhrase
from guard.engine.bodies import EXTRA_SHIFT, MISSING_SHIFT, SEP_BODY, SMALLEST, CutVocabulary
from guard.engine.reader import BodyReader, Pieces, to_tensor
from guard.engine.tables import build_tables
from guard.normalise import SEP
from guard.phrases import PhraseAutomaton, has_enough_letters

STATE_WIDTH = 3
WORDS, LETTERS, PENDING = range(STATE_WIDTH)
_BITS_MASK = (1 << MISSING_SHIFT) - 1
_BEYOND_UNICODE = 0x110000


class PhraseMatcher:
    """Phrases of one bundle, ready for one tokenizer and one device.

    Args:
        phrases: normalised; ``target`` indexes the bundle's targets.
        vocabulary: of the served tokenizer.
        device: where the logits will be.

    Attributes:
        empty_token: a token id beyond the vocabulary that leaves its row as it is.
    """

    def __init__(
        self, phrases: Sequence[BundlePhrase], vocabulary: CutVocabulary, device: torch.device
    ) -> None:
        self.device = device
        self.vocab_size = self.empty_token = len(vocabulary.plain) - 1
        words = [phrase for phrase in phrases if not has_enough_letters(phrase.text)]
        letters = [phrase for phrase in phrases if has_enough_letters(phrase.text)]
        word_tables = build_tables(words, vocabulary, letters_alone=False)
        letter_tables = build_tables(letters, vocabulary, letters_alone=True)
        self._words = BodyReader(word_tables, device)
        self._letters = BodyReader(letter_tables, device)
        self._longest = max(word_tables.longest, letter_tables.longest)

        self._lead = to_tensor(vocabulary.lead, device)
        self._lead_bits = to_tensor(vocabulary.lead_bits, device)
        self._all_lead = to_tensor(vocabulary.all_lead, device).bool()
        self._tail = to_tensor(vocabulary.tail, device)
        self._is_empty = to_tensor(vocabulary.is_empty, device).bool()
        self._smallest = torch.tensor(SMALLEST, device=device)
        # [L] tokens that can finish or extend a pending code point
        self._lead_tokens = torch.nonzero(self._lead[:-1]).flatten()

        # [V + 1] on the host: how many letters a token writes, and whether it only separates. A
        # continuation byte separates only if it finishes nothing.
        counts = np.array([len(text.replace(SEP, "")) for text in vocabulary.texts])
        self._letter_counts = counts[vocabulary.plain].tolist()
        separators = np.array([text == SEP for text in vocabulary.texts])[vocabulary.plain]
        only = separators & (vocabulary.tail == 0) & (vocabulary.lead == 0)
        self._only_separates = only.tolist()

    def start(self, rows: int = 1) -> torch.Tensor:
        """[rows, 3] states of texts of which nothing was read."""
        first = [self._words.start_state, self._letters.start_state, 0]
        return torch.tensor([first] * rows, dtype=torch.int64, device=self.device)

    def advance(self, state: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
        """States after one more token each.

        Args:
            state: [B, 3] int64.
            token: [B] int64 token ids; ``empty_token`` leaves its row unchanged.
        """
        words, letters, pending = state.unbind(1)
        if self.device.type == "cpu" and not bool(pending.any()):
            return torch.stack(
                [
                    self._words.read(words, self._words.plain[token]),
                    self._letters.read(letters, self._letters.plain[token]),
                    self._tail[token],
                ],
                dim=1,
            )
        pieces = self._pieces(pending, token)
        after = [
            reader.read(reader.read(at, first), second)
            for reader, at in ((self._words, words), (self._letters, letters))
            for first, second in (reader.bodies_of(pieces),)
        ]
        return torch.stack([*after, self._pending_after(pending, token)], dim=1)

    def read_texts(self, texts: Sequence[Sequence[int]]) -> torch.Tensor:
        """[B, 3] states after whole texts, reading only as much of their ends as can matter.

        Args:
            texts: ``B`` sequences of token ids.
        """
        windows = [self._window(text) for text in texts]
        length = max((len(window) for window, _ in windows), default=0)
        # [length, B], right-aligned: padding in front leaves the starting state alone
        padded = torch.full((length, len(texts)), self.empty_token, dtype=torch.int64)
        for row, (window, _) in enumerate(windows):
            if window:
                padded[length - len(window) :, row] = torch.tensor(window, dtype=torch.int64)
        tokens = padded.to(self.device)
        state = self.start(len(texts))
        whole = torch.tensor([is_whole for _, is_whole in windows], device=self.device)
        state[:, WORDS] = torch.where(whole, state[:, WORDS], PhraseAutomaton.ROOT)
        for step in range(length):
            state = self.advance(state, tokens[step])
        return state

    def penalise(
        self,
        logits: torch.Tensor,
        rows: torch.Tensor,
        state: torch.Tensor,
        active: torch.Tensor,
    ) -> None:
        """Lower the logits of every token that would complete a phrase of an active target.

        Args:
            logits: [N, V] float32, changed in place.
            rows: [B] int64, the rows of ``logits`` to guard, each at most once.
            state: [B, 3] int64, after the text so far.
            active: [B, n_targets] bool.
        """
        words, letters, pending = state.unbind(1)
        waits = pending > 0
        some_wait = self.device.type != "cpu" or bool(waits.any())
        if not some_wait:
            self._words.penalise_listed(logits, rows, words, active)
            self._letters.penalise_listed(logits, rows, letters, active)
            return
        # A token that does not finish a pending code point first reads as a separator.
        broken = self._words.read(words, torch.full_like(words, SEP_BODY))
        ahead = torch.where(waits, broken, words)
        # [B, V + 1] tokens that may finish it are judged one by one
        skipped = waits[:, None] & (self._lead > 0)
        self._words.penalise_listed(logits, rows, ahead, active, skipped)
        self._letters.penalise_listed(logits, rows, letters, active, skipped)
        if len(self._lead_tokens):
            shape = (len(rows), len(self._lead_tokens))
            token = self._lead_tokens.expand(shape)
            pieces = self._pieces(pending[:, None].expand(shape), token)
            penalty = self._words.completing(words[:, None].expand(shape), pieces, active)
            penalty += self._letters.completing(letters[:, None].expand(shape), pieces, active)
            penalty = torch.where(waits[:, None], penalty, 0.0)
            logits.index_put_((rows[:, None], token), penalty, accumulate=True)

    def _window(self, text: Sequence[int]) -> tuple[list[int], bool]:
        """The last tokens that can still be part of a phrase, and whether that is all of them."""
        window: list[int] = []
        letters = 0
        first = len(text)
        while first > 0 and letters < self._longest:
            first -= 1
            token = text[first]
            # Runs of separators count once, so that a page of blank lines stays one step.
            if self._only_separates[token] and window and self._only_separates[window[-1]]:
                continue
            window.append(token)
            letters += self._letter_counts[token]
        return window[::-1], first == 0

    def _pieces(self, pending: torch.Tensor, token: torch.Tensor) -> Pieces:
        missing = pending >> MISSING_SHIFT & 3
        extra = pending >> EXTRA_SHIFT
        lead = self._lead[token]
        pends = pending > 0
        finishes = pends & (lead >= missing)
        extends = pends & ~finishes & self._all_lead[token]
        waits = self._is_empty[token] | extends
        code = (pending & _BITS_MASK) << 6 * missing | self._lead_bits[token, missing]
        # Overlong forms are no code points; surrogates read as separators like any non-letter.
        code = torch.where(code >= self._smallest[extra], code, _BEYOND_UNICODE)
        return Pieces(
            token=token,
            code=code,
            finishes=finishes,
            breaks=pends & ~finishes & ~waits,
            uses_up=finishes & (lead == missing),
            waits=waits,
        )

    def _pending_after(self, pending: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
        missing = pending >> MISSING_SHIFT & 3
        lead = self._lead[token]
        extends = (pending > 0) & (lead < missing) & self._all_lead[token]
        bits = (pending & _BITS_MASK) << 6 * lead | self._lead_bits[token, lead.clamp(max=3)]
        longer = bits | (missing - lead) << MISSING_SHIFT | pending >> EXTRA_SHIFT << EXTRA_SHIFT
        after = torch.where(extends, longer, self._tail[token])
        return torch.where(self._is_empty[token], pending, after)
