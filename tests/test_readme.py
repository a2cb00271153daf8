"""What README.md says beside its commands, which scripts/check_docs.py runs."""

import re

from conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_file_of_a_run_is_in_the_readme(digit_run):
    for path in digit_run.path.iterdir():
        assert path.name in README, path.name


def test_the_chinese_readme_has_the_same_commands_and_tables():
    chinese = (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")
    for pattern in (
        r"^```.*?^```$",  # blocks
        r"^(#+) ",
        r"`[^`\n]+`",  # names
        r"\]\(([^)]+)\)",  # where links go
    ):
        ours, theirs = (re.findall(pattern, text, re.M | re.S) for text in (README, chinese))
        skip = {"README.md", "README.zh-CN.md"}
        assert [x for x in theirs if x not in skip] == [x for x in ours if x not in skip]
    rows = [re.findall(r"^\|(.*)\|$", text, re.M) for text in (README, chinese)]
    for ours, theirs in zip(*rows, strict=True):
        assert ours.count("|") == theirs.count("|")
        assert re.findall(r"[\d.,]+\d|\d", ours) == re.findall(r"[\d.,]+\d|\d", theirs), ours
