"""The data sets: readers, one file each, of files that come with the package or that `files.py` finds or downloads."""

from companion.data.digits import mnist, mnist_excerpt
from companion.data.files import DataError, DataMissing
from companion.data.pictures import cifar10, cifar10_here, cifar10_jpeg

__all__ = ["DataError", "DataMissing", "cifar10", "cifar10_here", "cifar10_jpeg", "mnist", "mnist_excerpt"]
