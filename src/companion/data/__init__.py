"""The data sets: readers, one file each, of files that come with the package or that `files.py` finds or downloads."""

from companion.data.digits import mnist, mnist_excerpt
from companion.data.faces import Faces, face_set, face_set_here
from companion.data.files import DataError, DataMissing
from companion.data.pictures import cifar10, cifar10_here, cifar10_jpeg
from companion.data.texts import enwik8, enwik8_excerpt, penn_treebank, text8, text8_prefix

__all__ = [
    "DataError",
    "DataMissing",
    "Faces",
    "cifar10",
    "cifar10_here",
    "cifar10_jpeg",
    "enwik8",
    "enwik8_excerpt",
    "face_set",
    "face_set_here",
    "mnist",
    "mnist_excerpt",
    "penn_treebank",
    "text8",
    "text8_prefix",
]
