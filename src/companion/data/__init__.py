"""The data sets: readers, one file each, of files that come with the package or that `files.py` finds or downloads."""

from companion.data.digits import mnist, mnist_excerpt
from companion.data.files import DataError, DataMissing

__all__ = ["DataError", "DataMissing", "mnist", "mnist_excerpt"]
