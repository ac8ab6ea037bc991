"""pyproject.toml is the one source of versions; constraints.txt, environment.yml and imports are held against it."""

import ast
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
REQUIREMENTS = [Requirement(line) for lines in [PROJECT["dependencies"], *EXTRAS.values()] for line in lines]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text())


def pins() -> dict[str, str]:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line]
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_every_requirement_has_a_pin_that_fits(requirement):
    version = pins().get(canonicalize_name(requirement.name))
    assert version is not None, f"{requirement.name} has no pin in constraints.txt"
    assert requirement.specifier.contains(version, prereleases=True)


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_every_requirement_has_a_lower_bound(requirement):
    assert any(part.operator == ">=" for part in requirement.specifier)


def test_constraints_are_plain_pins():
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        requirement = Requirement(line)
        (part,) = requirement.specifier
        assert part.operator == "=="
        assert "+" not in part.version, f"{line}: a local version exists on one machine only"
        assert requirement.url is None
        assert not requirement.marker
    assert "companion" not in pins()


def test_installed_versions_are_those_of_the_pins():
    installed = {canonicalize_name(item.name): item.version.partition("+")[0] for item in metadata.distributions()}
    wanted = {canonicalize_name(requirement.name) for requirement in REQUIREMENTS} & installed.keys()
    different = {name: installed[name] for name in wanted if installed[name] != pins()[name]}
    assert not different, f"installed with other versions than constraints.txt: {different}"


def test_conda_environment_follows_pyproject():
    python, *others = [item for item in ENVIRONMENT["dependencies"] if isinstance(item, str)]
    assert python.startswith(f"python{PROJECT['requires-python']}")
    assert set(others) == {"pip", "make"}
    (by_pip,) = [item["pip"] for item in ENVIRONMENT["dependencies"] if isinstance(item, dict)]
    assert by_pip[0] == "-c constraints.txt"
    extras = by_pip[1].removeprefix("-e .[").removesuffix("]").split(",")
    assert {"book", "test", "record"} <= set(extras) <= set(EXTRAS)
    assert len(by_pip) == 2


def test_conda_environment_has_a_python_that_pyproject_names():
    newest = max(
        int(line.rpartition("3.")[2])
        for line in PROJECT["classifiers"]
        if line.startswith("Programming Language :: Python :: 3.")
    )
    assert ENVIRONMENT["dependencies"][0].endswith(f",<3.{newest + 1}")


def test_package_imports_only_what_it_depends_on():
    """The package installs and imports without the extras."""
    distributions = metadata.packages_distributions()
    allowed = {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]}
    for file in (ROOT / "src" / "companion").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules = [node.module]
            else:
                continue
            for module in {name.partition(".")[0] for name in modules} - sys.stdlib_module_names - {"companion"}:
                owners = {canonicalize_name(owner) for owner in distributions[module]}
                assert owners & allowed, (
                    f"{file.relative_to(ROOT)} imports {module}, which is no dependency in pyproject.toml"
                )


def test_every_dependency_is_justified():
    """Each line of a dependency says in a comment what it is for, once."""
    justified = set()
    for line in (ROOT / "pyproject.toml").read_text().splitlines():
        code, _, comment = line.partition(" #")
        if code.strip().startswith('"') and code.strip().endswith(('"', '",')) and comment.strip():
            justified.add(canonicalize_name(Requirement(code.strip().rstrip(",").strip('"')).name))
    needed = {canonicalize_name(requirement.name) for requirement in REQUIREMENTS}
    assert needed <= justified | {"pytest"}
