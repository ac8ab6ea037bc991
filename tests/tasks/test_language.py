"""Language: windows of a text, its parts in order, and a table of pairs against one counted by hand."""

import math
from collections import Counter
from itertools import pairwise

import pytest
import torch

from companion import data
from companion.tasks import Language, seeded
from companion.tasks.language import KINDS, SOURCES, in_order

TEXT = b"the cat sat on the mat and the rat sat on the cat. " * 8


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """The source "tiny": three parts that differ, the last with two characters that the first lacks."""
    parts = TEXT, b"a hat sat on the cat and the mat on the rat", b"the zoo has a cat, a rat and a hat"
    monkeypatch.setitem(SOURCES, "tiny", lambda: parts)
    return parts


def spelled(task, windows):
    """The windows of a batch, each with the last target behind it."""
    whole = torch.cat([windows.inputs.argmax(2), windows.targets[-1:]])
    assert torch.equal(whole[1:], windows.targets)
    return [task.spell(window) for window in whole.T]


def test_the_target_is_the_next_character_of_the_text():
    task = Language("tiny", 9)
    batch = task.batch(torch.Generator().manual_seed(0), 200)
    assert batch.inputs.shape == (9, 200, task.input_size)
    assert (batch.inputs.sum(2) == 1).all()
    assert batch.targets.shape == (9, 200)
    assert all(window in TEXT.decode() for window in spelled(task, batch))


def test_training_windows_begin_everywhere(monkeypatch):
    monkeypatch.setitem(SOURCES, "letters", lambda: (b"abcdefgh", b"ababab", b"bcbcbc"))
    task = Language("letters", 5)
    windows = spelled(task, task.batch(torch.Generator().manual_seed(0), 300))
    assert set(windows) == {"abcdef", "bcdefg", "cdefgh"}
    assert min(Counter(windows).values()) > 70


def test_the_parts_are_disjoint_in_order_and_whole():
    text = bytes(range(200))
    parts = in_order(text)
    assert [len(part) for part in parts] == [180, 10, 10]
    assert b"".join(parts) == text


def test_the_excerpt_is_cut_into_its_parts():
    task, text = Language("enwik8-excerpt", 100), data.enwik8_excerpt()
    codes = bytes(task.characters[code] for code in task.text.tolist())
    assert codes == text[:900_000]
    for split, start in (("validation", 900_000), ("test", 950_000)):
        windows = task.windows[split]
        assert windows.shape == (101, 499)
        for column in (0, 1, 250, 498):
            characters = bytes(task.characters[code] for code in windows[:, column].tolist())
            assert characters == text[start + 100 * column : start + 100 * column + 101]


@pytest.mark.parametrize("length", [1, 4, 11])
def test_held_out_windows_predict_every_character_once(length, tiny):
    task = Language("tiny", length)
    for split, part in zip(("validation", "test"), tiny[1:], strict=True):
        windows = spelled(task, task.held_out(split))
        said = "".join(window[1:] for window in windows)
        assert len(windows) == (len(part) - 1) // length
        assert "".join(chr(c) if c in TEXT else "·" for c in part[1 : 1 + len(said)]) == said


def test_fewer_windows_lie_over_the_whole_part():
    task = Language("enwik8-excerpt", 100, validation_windows=5, test_windows=7)
    whole = Language("enwik8-excerpt", 100)
    for split, expected in (("validation", [0, 99, 199, 299, 399]), ("test", [0, 71, 142, 213, 285, 356, 427])):
        assert torch.equal(task.windows[split], whole.windows[split][:, expected])


def test_characters_that_training_lacks_count_as_one_more(tiny):
    task = Language("tiny", 33)
    assert task.characters == bytes(sorted(set(TEXT)))
    assert task.input_size == task.output_size == len(task.characters) + 1
    (test,) = spelled(task, task.held_out("test"))
    assert test == "the ·oo has a cat· a rat and a hat"
    assert task.held_out("test").targets.max() == task.input_size - 1
    assert task.text.max() == task.input_size - 2


def test_without_such_characters_the_alphabet_is_that_of_the_training_part(monkeypatch):
    monkeypatch.setitem(SOURCES, "known", lambda: (b"abcabcd", b"abba", b"cab"))
    task = Language("known", 2)
    assert task.characters == b"abcd"
    assert task.input_size == 4
    assert task.chance == {"bits_per_character": 2.0, "loss": math.log(4), "accuracy": 1 / 4}


@pytest.mark.parametrize("together", [7, 10_000_000])
@pytest.mark.parametrize(("length", "windows"), [(1, 500), (5, 500), (5, 2)])
def test_the_blind_guess_is_a_table_of_pairs_counted_by_hand(length, windows, together, monkeypatch, tiny):
    monkeypatch.setattr("companion.tasks.language.TOGETHER", together)
    task = Language("tiny", length, test_windows=windows)
    behind, alphabet = Counter(pairwise(TEXT.decode())), [*sorted(set(TEXT.decode())), "·"]

    def probability(first, second):
        return (behind[first, second] + 1) / sum(behind[first, each] + 1 for each in alphabet)

    losses, right = [], []
    for window in spelled(task, task.held_out("test")):
        for first, second in pairwise(window):
            losses.append(-math.log(probability(first, second)))
            right.append(second == max(alphabet, key=lambda each: probability(first, each)))
    loss = sum(losses) / len(losses)
    assert task.blind_guess["loss"] == pytest.approx(loss, rel=1e-12)
    assert task.blind_guess["bits_per_character"] == pytest.approx(loss / math.log(2), rel=1e-12)
    assert task.blind_guess["accuracy"] == pytest.approx(sum(right) / len(right), rel=1e-12)


def test_a_uniform_guess_scores_chance_and_pairs_score_better():
    task = Language("enwik8-excerpt", 50)
    _, targets = task.held_out("test")
    scored = task.metrics(torch.zeros(*targets.shape, task.output_size), targets)
    for name in ("bits_per_character", "loss"):
        assert scored[name].mean().item() == pytest.approx(task.chance[name], rel=1e-5)
        assert task.blind_guess[name] < 0.6 * task.chance[name]
    assert task.blind_guess["accuracy"] > 10 * task.chance["accuracy"]


def test_bits_are_nats_over_the_logarithm_of_two():
    task = Language("tiny", 6)
    predictions, targets = torch.randn(6, 3, task.output_size), torch.randint(task.output_size, (6, 3))
    scored = task.metrics(predictions, targets)
    by_hand = -predictions.log_softmax(2).gather(2, targets.unsqueeze(2)).squeeze(2).mean(0)
    torch.testing.assert_close(task.loss(predictions, targets), by_hand)
    torch.testing.assert_close(scored["bits_per_character"] * math.log(2), by_hand)


def test_a_summed_loss_is_the_mean_times_the_steps_and_leaves_the_metrics_alone():
    one, other = Language("tiny", 6), Language("tiny", 6, summed=True)
    predictions, targets = torch.randn(6, 3, one.output_size), torch.randint(one.output_size, (6, 3))
    torch.testing.assert_close(other.loss(predictions, targets), 6 * one.loss(predictions, targets))
    for name, values in one.metrics(predictions, targets).items():
        assert torch.equal(other.metrics(predictions, targets)[name], values)


def test_every_character_is_of_one_kind():
    task = Language("enwik8-excerpt", 50, 4, 4)
    assert len(set().union(*KINDS.values())) == sum(map(len, KINDS.values()))
    found = dict(zip(task.characters, task.kinds(torch.arange(len(task.characters))).tolist(), strict=True))
    names = [*KINDS, "other"]
    for character in range(128):
        letter = chr(character)
        if character not in found:
            continue
        if letter.isalpha():
            expected = "letter"
        elif letter.isdigit():
            expected = "digit"
        else:
            alone = {" ": "space", "\n": "end of line", ",": "comma", ".": "full stop", "<": "<"}
            expected = alone.get(letter, "other bracket" if letter in "[](){}>" else "other")
        assert names[found[character]] == expected
    assert {found[character] for character in found if character > 127} == {len(KINDS)}
    assert task.kinds(torch.tensor(len(task.characters))) == len(KINDS)  # what training lacks


def reader(task, asked):
    """A network that spends as many steps on a character as its index, and is sure of the next or has no idea."""

    def follow(batch):
        asked.append(batch.inputs.shape[1])
        index = batch.inputs.argmax(2)
        sure = (index % 2 == 0).unsqueeze(2) * 40.0
        return sure * torch.nn.functional.one_hot(batch.targets, task.output_size), index

    return follow


def test_what_is_recorded_by_kind_is_counted_by_hand(monkeypatch):
    monkeypatch.setattr("companion.tasks.language.FOLLOWED", 3)
    monkeypatch.setitem(SOURCES, "marks", lambda: (b"a, b. 12 <c> d\n", b"a, b, c. a", b"aa, <1> b 2 c. b, a 1 dd"))
    task, asked = Language("marks", 4), []
    found = task.along(reader(task, asked))
    assert asked == [2, 3, 2]
    expected = {kind: [] for kind in range(len(KINDS) + 1)}
    for window in task.windows["test"].T:
        for index in window[:-1].tolist():
            kind = next((i for i, kind in enumerate(KINDS.values()) if task.characters[index] in kind), len(KINDS))
            expected[kind].append(index)
    for kind, indices in expected.items():
        if not indices:
            assert found["ponder_steps_by_kind"][kind] is found["entropy_by_kind"][kind] is None
            continue
        unsure = sum(index % 2 for index in indices) / len(indices) * math.log(task.output_size)
        assert found["ponder_steps_by_kind"][kind] == pytest.approx(sum(indices) / len(indices))
        assert found["loss_by_kind"][kind] == pytest.approx(unsure, abs=1e-5)
        assert found["entropy_by_kind"][kind] == pytest.approx(unsure, abs=1e-5)
    assert found["ponder_steps_by_kind"][list(KINDS).index("end of line")] is None


def test_two_passages_are_recorded_character_by_character():
    task = Language("enwik8-excerpt", 60, 4, 4)
    found = task.along(reader(task, []))
    first, page = spelled(task, task.passages())
    text = data.enwik8_excerpt()[950_000:]
    assert first.encode() == text[:61]
    assert page.encode() in text
    assert page.index("<page>") == 30
    assert text.index(b"<page>") == text.index(page.encode()) + 30
    indices = task.passages().inputs.argmax(2).T
    assert torch.equal(torch.tensor(found["ponder_steps_along"]), indices.double())
    unsure = (indices % 2).double() * math.log(task.output_size)
    for name in ("loss_along", "entropy_along"):
        torch.testing.assert_close(torch.tensor(found[name], dtype=torch.double), unsure, atol=1e-4, rtol=0)


def test_without_a_page_the_second_passage_is_the_first(tiny):
    one, other = spelled(task := Language("tiny", 9), task.passages())
    assert one == other == spelled(task, task.held_out("test"))[0]


def test_of_a_layer_that_does_not_ponder_nothing_is_recorded_along_the_text():
    assert Language("tiny", 9).along(lambda batch: (torch.zeros(9, batch.inputs.shape[1], 3), None)) == {}


def test_batches_come_from_the_seed_and_from_training_alone(tiny):
    one, other = (Language("tiny", 20).batch(seeded("train", 4), 50) for _ in range(2))
    assert torch.equal(one.inputs, other.inputs)
    assert not torch.equal(one.inputs, Language("tiny", 20).batch(seeded("train", 5), 50).inputs)


def test_penn_treebank_keeps_its_own_three_parts(monkeypatch):
    parts = {"train": b" no it was n't \n", "validation": b" it was \n", "test": b" no <unk> \n"}
    monkeypatch.setattr(data, "penn_treebank", parts.get)
    task = Language("penn-treebank", 4)
    assert task.characters == bytes(sorted(set(parts["train"])))
    assert [task.spell(window) for window in task.windows["test"].T] == [" no ·", "··n··"]


@pytest.mark.parametrize(
    "arguments",
    [{"source": "wiki"}, {"length": 0}, {"length": 34}, {"validation_windows": 0}, {"test_windows": 0}],
)
def test_bad_arguments_are_refused_in_one_sentence(arguments):
    with pytest.raises(ValueError, match=rf"^{next(iter(arguments))} is .*; it must [^.]*\.$"):
        Language(**{"source": "tiny", "length": 5} | arguments)


def test_a_text_that_is_not_there_is_said_in_its_own_words(monkeypatch):
    def missing():
        raise data.DataMissing("No whole text8 is on this machine.")

    monkeypatch.setattr(data, "text8", missing)
    with pytest.raises(data.DataMissing, match="No whole text8"):
        Language("text8", 180)
