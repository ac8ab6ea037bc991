"""The tasks, one file each: what it asks, how an example is made, what chance and the best blind guess score."""

from companion.tasks.adding import Adding
from companion.tasks.addition import Addition
from companion.tasks.associative_retrieval import AssociativeRetrieval
from companion.tasks.catch import Catch, CatchEnv
from companion.tasks.copying import Copying, CopyingTransfer
from companion.tasks.digit_glimpses import DigitGlimpses
from companion.tasks.face_glimpses import FaceGlimpses
from companion.tasks.language import Language
from companion.tasks.logic import Logic
from companion.tasks.parity import Parity
from companion.tasks.pixel_cifar10 import PixelCIFAR10
from companion.tasks.pixel_mnist import PixelMNIST
from companion.tasks.sort import Sort
from companion.tasks.task import Batch, Task, seeded

__all__ = [
    "Adding",
    "Addition",
    "AssociativeRetrieval",
    "Batch",
    "Catch",
    "CatchEnv",
    "Copying",
    "CopyingTransfer",
    "DigitGlimpses",
    "FaceGlimpses",
    "Language",
    "Logic",
    "Parity",
    "PixelCIFAR10",
    "PixelMNIST",
    "Sort",
    "Task",
    "seeded",
]
