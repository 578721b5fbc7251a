"""What a text is about: which forget targets a conversation touches."""

from classifiers.base import PlacedText
from classifiers.batching import BatchingEncoder
from classifiers.conversation import conversation_views, join
from classifiers.detector import Detector, merge
from classifiers.encoder import Encoder, SentenceEncoder, load_encoder
from classifiers.statements import StatementMatcher

__all__ = [
    "BatchingEncoder",
    "Detector",
    "Encoder",
    "PlacedText",
    "SentenceEncoder",
    "StatementMatcher",
    "conversation_views",
    "join",
    "load_encoder",
    "merge",
]
