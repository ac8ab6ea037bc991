import matplotlib.colors as colors
import pandas as pd
import pytest

from companion import figures
from companion.runs import repeating
from companion.tasks import Logic


@pytest.fixture
def rows():
    names = ["act-0.001", "act-0.1", "repeats-13", "repeats-2", "repeats-3", "repeats-5", "rnn", "rnn"]
    errors = [0.1, 0.3, 0.1, 0.2, 0.2, 0.1, 0.4, 0.2]
    return pd.DataFrame({"model": names, "ponder_steps": [5.0, 1.5, 13.0, 2.0, 3.0, 5.0, 1.0, 1.0], "error": errors})


def test_models_that_decide_n_are_blue_and_the_repeats_are_red(rows):
    shades = figures.colours(rows.model)
    assert set(shades) == set(rows.model)
    for model, (red, _, blue) in shades.items():
        assert (red > blue) == repeating(pd.Series([model])).item()


@pytest.mark.parametrize("pair", [("act-0.001", "act-0.1"), ("repeats-2", "rnn"), ("repeats-13", "repeats-5")])
def test_more_steps_are_darker(rows, pair):
    shades = figures.colours(rows.model)
    many, few = (colors.rgb_to_hsv(shades[model])[2] for model in pair)
    assert many < few


def test_few_models_and_others_keep_the_house_palette(rows):
    assert figures.colours(rows.model[:6]) is None
    assert figures.colours(pd.Series([f"sab-10-{k}" for k in range(9)])) is None
    assert figures.colours(pd.Series([], dtype=str)) is None


def test_the_price_is_drawn_as_two_lines_through_the_means(rows):
    axes = figures.against_steps(rows, Logic(2))
    repeats, decides = axes.lines
    assert repeats.get_xydata().tolist()[:2] == [[1.0, pytest.approx(0.3)], [2.0, 0.2]]
    assert decides.get_xydata().tolist() == [[1.5, 0.3], [5.0, 0.1]]
    assert [text.get_text() for text in axes.texts] == ["0.1", "0.001"]
    assert sum(len(dots.get_offsets()) for dots in axes.collections) == len(rows)


def test_in_the_house_style_no_text_and_no_row_of_a_table_is_cut_off():
    with pd.option_context("display.max_colwidth", 50, "display.max_rows", 60):
        figures.style()
        shown = pd.DataFrame({"said": ["not run: " + "x" * 60] * 70})._repr_html_()  # as a notebook shows it
    assert "..." not in shown
    assert shown.count("not run") == 70
