from dataclasses import replace
from itertools import pairwise

import matplotlib.colors as colors
import pandas as pd
import pytest
from made_up import record

from companion import figures
from companion.pondering import repeating
from companion.tasks import Copying, Logic, Parity


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
    assert axes.texts[0].get_text().startswith("the "), "eight lines are named at their ends"
    axes = figures.by_setting(said, "model", "error", Logic(2))
    axes.figure.canvas.draw()
    assert axes.get_xticklabels()[0].get_text() == "the act-0.001"


def test_in_the_house_style_no_text_and_no_row_of_a_table_is_cut_off():
    with pd.option_context("display.max_colwidth", 50, "display.max_rows", 60):
        figures.style()
        shown = pd.DataFrame({"said": ["not run: " + "x" * 60] * 70})._repr_html_()  # as a notebook shows it
    assert "..." not in shown
    assert shown.count("not run") == 70


def test_more_than_five_lines_are_named_at_their_ends_and_no_names_overlap():
    def drawn(count):
        looks = [[{"error": 0.5}, {"error": 0.1 * place}] for place in range(count)]
        return figures.learning_curves(
            [record(f"m{i}", looks=each) for i, each in enumerate(looks)], Parity(4), "error"
        )

    few = drawn(3)
    assert few.get_legend() is not None
    assert not few.texts
    axes = drawn(7)
    assert axes.get_legend() is None
    heights = {text.get_text(): text.get_position()[1] for text in axes.texts}
    assert set(heights) == {*(f"m{i}" for i in range(7)), "chance"}
    assert sorted(f"m{i}" for i in range(7)) == sorted((name for name in heights if name != "chance"), key=heights.get)
    places = sorted(heights.values())
    height = 11 / axes.get_window_extent().height
    assert all(above - below >= height - 1e-9 for below, above in pairwise(places))


def test_a_row_a_model_with_a_dot_a_run_and_the_papers_diamond(monkeypatch):
    numbers = pd.DataFrame({"model": ["lstm", "sab", "sab"], "metric": ["accuracy", "accuracy", "loss"],
                            "value": [0.3, None, 0.1]})  # fmt: skip
    monkeypatch.setattr(figures, "paper_numbers", lambda experiment: numbers)
    made = [record("sab", seed, metrics={"accuracy": 0.9 + seed / 100}, label="SAB") for seed in range(3)]
    made += [record("lstm-0.001", metrics={"accuracy": 0.4}, profile="paper"), record("rnn", metrics={"accuracy": 0.2})]
    axes = figures.beside_paper(made, Copying(5), "accuracy", ["lstm-0.001", "gru", "sab"])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["lstm-0.001", "SAB"], "those asked for, in order"
    dots = {dots.get_label(): dots.get_offsets().tolist() for dots in axes.collections}
    assert dots == {
        "ours, laptop profile": [[0.9, 1], [0.91, 1], [0.92, 1]],
        "ours, paper profile": [[0.4, 0]],
        "the paper": [[0.3, 0]],
    }
    upright = {line.get_label(): line.get_xdata()[0] for line in axes.lines}
    assert upright == {"chance": 0.1, "best blind guess": 0.125}
    everything = figures.beside_paper(made, Copying(5), "accuracy")
    assert len(everything.get_yticklabels()) == 3
