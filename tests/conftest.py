"""One thread, fixed seeds, and numbers in double precision."""

import re

import jaxtyping
import nbformat
import pytest
import torch

from companion import data
from companion.data import Faces


@pytest.fixture(autouse=True)
def one_thread():
    """Layers start from the same weights in every test, and leave a core to others."""
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture
def float64():
    """Draws normal numbers in double precision, from a fixed seed: float64(3, 2) has the shape (3, 2).

    The default type stays float32, so that a constant which a layer makes in single precision is noticed.
    """
    generator = torch.Generator().manual_seed(1)
    return lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.fixture(scope="module")
def made_up_cifar10():
    """200 training and 60 test pictures of noise, in place of CIFAR-10, which comes with no repository."""
    generator = torch.Generator().manual_seed(2)
    made_up = {
        split: (
            torch.randint(256, (size, 3, 32, 32), generator=generator, dtype=torch.uint8),
            torch.randperm(size, generator=generator) % 10,
        )
        for split, size in (("train", 200), ("test", 60))
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "cifar10", made_up.__getitem__)
        yield made_up


@pytest.fixture(scope="module")
def made_up_faces():
    """Noise for faces, in place of every source: 12 people, five pictures each, three classes, the first most often."""
    generator = torch.Generator().manual_seed(4)
    pictures = torch.randint(256, (60, 48, 48), generator=generator, dtype=torch.uint8)
    classes = torch.tensor([0, 0, 0, 1, 2]).repeat(12)
    made_up = Faces(pictures, classes, torch.arange(12).repeat_interleave(5), ("calm", "glad", "cross"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "face_set", lambda source: made_up)
        yield made_up


@pytest.fixture
def a_notebook():
    """Writes a notebook with nothing but a parameter cell, and returns its path."""

    def write(path, source):
        cell = nbformat.v4.new_code_cell(source, metadata={"tags": ["parameters"]})
        nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
        return path

    return write


@pytest.fixture
def sentence():
    """Returns the message of an error, which must be one sentence on one line."""

    def sentence(caught):
        text = str(caught.value)
        assert "\n" not in text
        assert text.endswith(".")
        assert not re.search(r"\.\s", text)
        return text

    return sentence


@pytest.fixture
def as_users_run_it():
    """Without the check of annotations that the tests switch on, so that what our own checks refuse reaches them."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
