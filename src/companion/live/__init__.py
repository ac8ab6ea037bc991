"""The trained networks that pages run in the reader's browser: their files, and the examples for readers without JavaScript."""

from companion.live.examples import example
from companion.live.networks import PAGES, write

__all__ = ["PAGES", "example", "write"]
