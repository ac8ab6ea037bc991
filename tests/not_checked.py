"""Says what a run of the tests did not check, and why: python tests/not_checked.py REPORT.xml ..."""

import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree


def skipped(reports: list[Path]) -> Counter[tuple[str, str]]:
    """How many tests of which file were skipped for which reason, in the order of pytest's JUnit reports."""
    return Counter(
        (test.get("classname"), reason.get("message"))
        for report in reports
        for test in ElementTree.parse(report).iter("testcase")
        for reason in test.iter("skipped")
        if reason.get("type") == "pytest.skip"
    )


def summary(reports: list[Path]) -> str:
    left_out = skipped(reports)
    if not left_out:
        return "Everything was checked: no test was skipped."
    lines = [f"  {count} of {place.replace('.', '/')}.py: {reason}" for (place, reason), count in left_out.items()]
    return "\n".join(["Not checked here:", *lines])


if __name__ == "__main__":
    print(summary([Path(report) for report in sys.argv[1:]]))
