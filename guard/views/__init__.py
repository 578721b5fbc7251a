"""De-obfuscated views: what a text says to a reader who decodes it. Matched, never forwarded."""

from guard.views.find import find_views
from guard.views.openings import Openings
from guard.views.search import ViewSearch
from guard.views.spaced import KIND as SPACED
from guard.views.view import View, said_within

__all__ = ["SPACED", "Openings", "View", "ViewSearch", "find_views", "said_within"]
