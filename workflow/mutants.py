"""Puts wrong lines into a copy of the sources, one at a time, and says which no test notices.

    python workflow/mutants.py [WORD]       all of tests/mutants.toml, or those whose file or text holds the word

The list is ours: each change is one that a reader of this package could make by mistake. The tools that mutate source
(mutmut, cosmic-ray) make up their own changes and take no list.

A change is caught if a test of its list fails, and survives if all pass. Anything else, such as a test file that cannot
be imported, says nothing about the change and counts as a fault of the list. Without any change all tests must pass.
"""

import multiprocessing
import os
import shutil
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import NamedTuple

import pytest
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
LIST = ROOT / "tests" / "mutants.toml"
AT_ONCE = 2
LONGEST_SECONDS = 1200  # of one change's tests
LEFT_OUT = (".git", ".venv", ".snakemake", ".hypothesis", "_build", "__pycache__", "*.egg-info")
VERDICTS = {0: "survives", 1: "caught"}  # by pytest's exit status


class Mutant(NamedTuple):
    file: str
    before: str
    after: str
    tests: list[str]

    def __str__(self) -> str:
        return f"{self.file}: {self.before.strip()!r} → {self.after.strip()!r}"

    def apply(self, text: str) -> str:
        """The text with the change in it.

        Raises:
            ValueError: what is to be changed is not there exactly once.
        """
        if (count := text.count(self.before)) != 1:
            raise ValueError(f"{self.before!r} is {count} times in {self.file}; it must be there once.")
        return text.replace(self.before, self.after)


def read(path: Path) -> list[Mutant]:
    groups = tomllib.loads(path.read_text(encoding="utf-8"))["group"]
    return [Mutant(each["file"], *change, each["tests"]) for each in groups for change in each["changes"]]


def run_tests(tree: Path, tests: list[str]) -> None:
    """In a process of its own: run the tests of a copy on its sources, say what happens in `log`, exit as pytest."""
    os.chdir(tree)
    with open("log", "w") as log:
        os.dup2(log.fileno(), 1), os.dup2(log.fileno(), 2)
    sys.path[:0] = paths = [str(tree / "src"), str(tree)]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    # A file that is changed within a second, to one of equal length, would not be compiled again.
    sys.dont_write_bytecode, os.environ["PYTHONDONTWRITEBYTECODE"] = True, "1"
    sys.exit(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests]))


def verdict(tree: Path, tests: list[str]) -> str:
    process = multiprocessing.get_context("forkserver").Process(target=run_tests, args=(tree, tests))
    process.start()
    process.join(LONGEST_SECONDS)
    process.kill()
    process.join()
    return VERDICTS.get(process.exitcode, "broken")


def try_out(mutant: Mutant, trees: Queue) -> str:
    tree = trees.get()
    path = tree / mutant.file
    text = path.read_text(encoding="utf-8")
    try:
        path.write_text(mutant.apply(text), encoding="utf-8")
        return verdict(tree, mutant.tests)
    finally:
        path.write_text(text, encoding="utf-8")
        trees.put(tree)


def main(word: str = "") -> int:
    begun = time.monotonic()
    mutants = [each for each in read(LIST) if word in str(each)]
    if not mutants:
        print(f"No change of {LIST.name} holds {word!r}.")
        return 1
    # What all tests import is imported once, and each change is tried in a fork of that.
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    multiprocessing.get_context("forkserver").set_forkserver_preload(
        tomllib.loads(LIST.read_text(encoding="utf-8"))["imports"]
    )
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder, ThreadPoolExecutor(AT_ONCE) as pool:
        trees: Queue = Queue()
        for number in range(AT_ONCE):
            trees.put(shutil.copytree(ROOT, Path(folder) / str(number), ignore=shutil.ignore_patterns(*LEFT_OUT)))
        if verdict(Path(folder) / "0", sorted({test for each in mutants for test in each.tests})) != "survives":
            print(
                (Path(folder) / "0" / "log").read_text(encoding="utf-8")
                + "The tests do not pass without any change; mend them first."
            )
            return 1
        found, verdicts = pool.map(lambda each: try_out(each, trees), mutants), []
        for mutant in tqdm(mutants, "mutants", leave=False, disable=not sys.stderr.isatty()):
            verdicts.append(next(found))
            if verdicts[-1] != "caught":
                tqdm.write(f"{verdicts[-1]}: {mutant}")
    counts = ", ".join(f"{verdicts.count(each)} {each}" for each in ("caught", "survives", "broken"))
    print(f"{len(mutants)} changes in {time.monotonic() - begun:.0f} seconds: {counts}")
    return int(verdicts.count("caught") < max(len(mutants), 1))


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:])))
