import base64
import importlib.util
import io
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from companion import figures

spec = importlib.util.spec_from_file_location("build", Path(__file__).parents[1] / "workflow" / "build.py")
build = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build)


@pytest.fixture
def figure():
    figures.style()
    picture, axes = plt.subplots(figsize=(5, 3))
    for colour in range(8):
        axes.plot(range(20), [colour + 0.1 * x for x in range(20)], label=f"line {colour}")
    axes.legend()
    drawn = io.BytesIO()
    picture.savefig(drawn)
    plt.close(picture)
    return base64.b64encode(drawn.getvalue()).decode()


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")).astype(int)


def test_a_stored_figure_is_smaller_and_looks_the_same(figure):
    stored = build.with_palette(figure)
    assert len(stored) < 0.6 * len(figure)
    before, after = pixels(figure), pixels(stored)
    assert before.shape == after.shape
    assert np.abs(before - after).mean() < 1
    assert (after[0, 0] == 255).all()
