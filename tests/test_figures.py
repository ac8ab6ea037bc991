from dataclasses import replace

import matplotlib.colors as colors
import pandas as pd
import pytest
from made_up import record

from companion import figures
from companion.pondering import repeating
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
    axes = figures.against_steps(rows.assign(τ=[0.001, 0.1, *[None] * 6]), Logic(2))
    repeats, decides = axes.lines
    assert repeats.get_xydata().tolist()[:2] == [[1.0, pytest.approx(0.3)], [2.0, 0.2]]
    assert decides.get_xydata().tolist() == [[1.5, 0.3], [5.0, 0.1]]
    assert [text.get_text() for text in axes.texts] == ["0.1", "0.001"]
    assert sum(len(dots.get_offsets()) for dots in axes.collections) == len(rows)
    assert not figures.against_steps(rows, Logic(2)).texts, "without a τ nothing is named by it"


def test_legends_show_labels_in_the_colours_of_the_names(rows):
    said = rows.assign(label=[f"the {name}" for name in rows.model])
    names, labels = figures.by_model(rows), figures.by_model(said)
    assert (names["hue"], labels["hue"]) == ("model", "label")
    assert labels["palette"] == {f"the {name}": colour for name, colour in names["palette"].items()}
    assert figures.by_model(said[:3])["palette"] is None
    looks = ({"error": 0.5}, {"error": 0.4})
    made = [replace(record("act-0.1", looks=looks), label="ACT, τ = 0.1"), record("rnn", looks=looks)]
    axes = figures.learning_curves(made, Logic(2), "error")
    assert [text.get_text() for text in axes.get_legend().get_texts()][:2] == ["ACT, τ = 0.1", "rnn"]


def test_a_family_of_models_and_an_axis_of_models_show_labels(rows):
    said = rows.assign(label=[f"the {name}" for name in rows.model])
    axes = figures.by_setting(said, "ponder_steps", "error", Logic(2), family="model")
    assert axes.get_legend().get_texts()[0].get_text() == "the act-0.001"
    axes = figures.by_setting(said, "model", "error", Logic(2))
    axes.figure.canvas.draw()
    assert axes.get_xticklabels()[0].get_text() == "the act-0.001"


def test_in_the_house_style_no_text_and_no_row_of_a_table_is_cut_off():
    with pd.option_context("display.max_colwidth", 50, "display.max_rows", 60):
        figures.style()
        shown = pd.DataFrame({"said": ["not run: " + "x" * 60] * 70})._repr_html_()  # as a notebook shows it
    assert "..." not in shown
    assert shown.count("not run") == 70
