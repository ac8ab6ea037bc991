"""The trained networks that pages run in the reader's browser, and their examples for readers without JavaScript."""

from companion.live.examples import example
from companion.live.networks import PAGES as PAGES
from companion.live.networks import write

__all__ = ["example", "write"]
