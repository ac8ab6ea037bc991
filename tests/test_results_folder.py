"""The folder of results: one that was mistyped, or whose files are damaged, is refused in one sentence."""

import pytest

from companion import runs
from companion.records import RecordError

NUMBER = '[[number]]\nexperiment = "ponder/parity"\nmodel = "rnn"\n'


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "papers.toml").write_text(NUMBER)
    (tmp_path / "benchmarks").mkdir()
    monkeypatch.setenv("COMPANION_RESULTS", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", ["nowhere", "papers.toml", "benchmarks"], ids=["missing", "a file", "another folder"])
def test_a_mistyped_folder_is_refused(name, folder, monkeypatch, sentence):
    monkeypatch.setenv("COMPANION_RESULTS", str(folder / name))
    for read in (runs.results_folder, runs.experiments, lambda: runs.load_all("ponder/parity")):
        with pytest.raises(RecordError, match="^COMPANION_RESULTS names .*, where there is no papers.toml") as caught:
            read()
        assert str(folder / name) in sentence(caught)


def test_the_home_folder_may_be_written_short_and_an_empty_name_is_none(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.setenv("COMPANION_RESULTS", f"~/{folder.name}")
    assert runs.results_folder() == folder
    monkeypatch.setenv("COMPANION_RESULTS", "")
    assert runs.results_folder().parts[-2:] == ("book", "results")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (NUMBER.encode() + b"[[number]\n", "papers.toml cannot be read"),
        (b"\xff\xfe" + NUMBER.encode(), "papers.toml cannot be read"),
        (b"", r"papers.toml cannot be read \(it has no \[\[number\]\]\)"),
        (b"number = [{}]\n", r"papers.toml cannot be read \(a \[\[number\]\] has no experiment\)"),
        (b"number = 3\n", r"papers.toml cannot be read \(a \[\[number\]\] has no experiment\)"),
        (b"number = [3]\n", r"papers.toml cannot be read \(a \[\[number\]\] has no experiment\)"),
    ],
)
def test_broken_numbers_of_the_papers_name_the_file(content, words, folder, sentence):
    (folder / "papers.toml").write_bytes(content)
    with pytest.raises(RecordError, match=words) as caught:
        runs.paper_numbers("ponder/parity")
    assert str(folder) in sentence(caught)


def test_broken_curves_of_the_papers_name_the_file(folder, sentence):
    assert len(runs.paper_numbers("ponder/parity")) == 1
    with pytest.raises(RecordError, match=r"papers.toml cannot be read \(it has no \[\[curve\]\]\)") as caught:
        runs.paper_curves("ponder/parity")
    sentence(caught)


@pytest.mark.parametrize("content", ["", '{"rows": [', "{}", "[]", '{"rows": 3}'])
def test_a_damaged_benchmark_is_refused(content, folder, sentence):
    (folder / "benchmarks" / "paper_rows.json").write_text(content)
    with pytest.raises(RecordError, match="paper_rows.json is not a whole benchmark") as caught:
        runs.benchmark("paper_rows")
    sentence(caught)
