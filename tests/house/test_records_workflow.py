"""Snakemake lists exactly the records that are missing or stale."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from companion.records import Record

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "book" / "results"
SEEDS = {"laptop": [0, 1, 2], "paper": [0, 1, 2]}

pytest.importorskip("snakemake", reason="the extra record is not installed")


def wanted(profile: str) -> set[str]:
    """The records that the parameter files ask for, below the results folder."""
    names = set()
    for file in (ROOT / "notebooks").glob(f"*/*.{profile}.yaml"):
        experiment = f"{file.parent.name}/{file.name.split('.')[0]}"
        for model in yaml.safe_load(file.read_text())["models"]:
            names |= {f"{experiment}/{model}.{profile}.seed{seed}.json" for seed in SEEDS[profile]}
    return names


def dry_run(results: Path, profiles: str, **options) -> subprocess.CompletedProcess:
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        "workflow/Snakefile",
        "--dry-run",
        "--nolock",
        "--cores",
        "2",
    ]
    config = {"profiles": profiles, "results": results} | options
    command += ["--printshellcmds", "--config", *(f"{name}={value}" for name, value in config.items())]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def listed(results: Path, profiles: str = "laptop", **options) -> set[str]:
    run = dry_run(results, profiles, **options)
    assert run.returncode == 0, run.stdout + run.stderr
    outputs = re.findall(r"^    output: (\S+\.json)$", run.stdout + run.stderr, flags=re.MULTILINE)
    assert len(outputs) == len(set(outputs))
    return {Path(output).relative_to(results).as_posix() for output in outputs}


@pytest.mark.parametrize("profile", SEEDS)
def test_without_records_all_are_listed(profile, tmp_path):
    assert wanted(profile)
    assert listed(tmp_path, profile) == wanted(profile)


def test_two_profiles_at_once(tmp_path):
    assert listed(tmp_path, "laptop paper") == wanted("laptop") | wanted("paper")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"profiles": "desktop"}, "Unknown profile 'desktop': profiles are laptop, paper."),
        ({"device": 0}, "Unknown device '0': a device is cpu, cuda, cuda:1, mps, or another that torch has."),
        ({"device": "toaster"}, "Unknown device 'toaster'"),
        ({"steps": -5}, "The steps are '-5': it must be a whole number from 1 to 1,000,000,000."),
        ({"steps": 0}, "The steps are '0'"),
        ({"steps": 2.5}, "The steps are '2.5'"),
        ({"steps": 10**12}, "The steps are '1000000000000'"),
        ({"steps": "many"}, "The steps are 'many'"),
        ({"only": "remind/cooking"}, "No record of laptop begins with 'remind/cooking'"),
        ({"only": 0}, "No record of laptop begins with '0'"),
        ({"seeds": "one"}, "The seeds are 'one': they must be whole numbers such as 0 1 2."),
        ({"seeds": "0 -1"}, "The seeds are '0 -1'"),
        (
            {"profile": "paper"},
            "Unknown setting 'profile': settings are results, profiles, only, device, steps, seeds,",
        ),
    ],
    ids=str,
)
def test_a_wrong_setting_is_refused(options, words, tmp_path):
    run = dry_run(tmp_path, **{"profiles": "laptop"} | options)
    assert run.returncode != 0
    assert words in run.stdout + run.stderr
    assert "Traceback" not in run.stdout + run.stderr


def test_a_setting_that_is_empty_is_none(tmp_path):
    empty = {"device": "", "only": "", "steps": ""}
    assert listed(tmp_path, "laptop", **empty) == wanted("laptop")
    run = dry_run(tmp_path, "laptop", only="remind/copying/lstm.", device="cuda:1", steps=10**9)
    assert "-p device cuda:1 -p steps 1000000000 " in run.stdout + run.stderr
    run = dry_run(tmp_path, "laptop", only="remind/copying/lstm.", device="xpu:0", steps=10**9)
    assert "-p device xpu:0 -p steps 1000000000 " in run.stdout + run.stderr


def kept_records() -> list[str]:
    return sorted(name for name in wanted("laptop") if (RESULTS / name).exists())


def copy_of_records(folder: Path) -> None:
    for name in kept_records():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(RESULTS / name, folder / name)


def cut_short(name: str) -> bool:
    """Whether a record is of fewer updates than its profile has, so that the run may go on."""
    record = json.loads((RESULTS / name).read_text())
    profile = yaml.safe_load((ROOT / "notebooks" / f"{record['experiment']}.{record['profile']}.yaml").read_text())
    return record["parameters"]["steps"] < profile["steps"]


def test_records_that_are_there_are_not_listed_unless_they_were_cut_short(tmp_path):
    if not kept_records():
        pytest.skip("book/results has no laptop record yet")
    copy_of_records(tmp_path)
    assert listed(tmp_path) == wanted("laptop") - {name for name in kept_records() if not cut_short(name)}


def test_stale_record_is_listed(tmp_path):
    """A record of other parameters: one of the laptop's, under the name of the paper's profile."""
    names = [name for name in kept_records() if name.replace(".laptop.", ".paper.") in wanted("paper")]
    if not names:
        pytest.skip("book/results has no laptop record yet")
    stale = names[0].replace(".laptop.", ".paper.")
    (tmp_path / stale).parent.mkdir(parents=True)
    shutil.copyfile(RESULTS / names[0], tmp_path / stale)
    assert stale in listed(tmp_path, "paper")


def test_damaged_record_is_refused(tmp_path):
    if not kept_records():
        pytest.skip("book/results has no laptop record yet")
    copy_of_records(tmp_path)
    damaged = tmp_path / kept_records()[0]
    damaged.write_text(damaged.read_text()[:100])
    run = dry_run(tmp_path, "laptop")
    assert run.returncode != 0
    assert f"{damaged.name} is not a whole record" in run.stdout + run.stderr


def test_a_run_of_fewer_updates_keeps_its_checkpoint_and_goes_on_later(tmp_path):
    name = "remind/copying/lstm.laptop.seed0"
    full, short = (dry_run(tmp_path, "laptop", only=name, **options).stdout for options in ({}, {"steps": 100}))
    kept = f"_build/checkpoints/{name}"
    assert f"rm -rf {kept}" in full
    assert "-p steps" not in full
    assert f": {kept}" in short
    assert "-p steps 100 " in short
    (tmp_path / name).parent.mkdir(parents=True)
    record = json.loads((RESULTS / f"{name}.json").read_text())
    del record["seal"]
    record["parameters"]["steps"] = 100
    Record(**record).save(tmp_path)
    assert not listed(tmp_path, "laptop", only=name, steps=100)
    assert listed(tmp_path, "laptop", only=name) == {f"{name}.json"}


def test_seeds_checkpoints_and_weights_are_those_asked_for(tmp_path):
    name = "remind/copying/lstm.laptop.seed"
    folders = {"checkpoints": tmp_path / "c", "weights": tmp_path / "w"}
    run = dry_run(tmp_path, "laptop", only=name, seeds="3, 4", **folders).stdout
    assert set(re.findall(r"output: \S+/(lstm\.laptop\.seed\d+)\.json", run)) == {
        "lstm.laptop.seed3",
        "lstm.laptop.seed4",
    }
    for seed in (3, 4):
        assert f"-p checkpoints {tmp_path}/c/{name}{seed} -p weights {tmp_path}/w" in run
