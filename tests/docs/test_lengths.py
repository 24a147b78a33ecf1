"""No file of code is longer than one reads at a sitting."""

import subprocess

import pytest

from tools.repository import ROOT

MOST = 450
KINDS = ("*.py", "*.c", "*.h", "*.cpp")
FILES = subprocess.run(
    ["git", "ls-files", *KINDS], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.split()


def test_the_list_of_files_is_not_empty() -> None:
    assert len(FILES) > 300


@pytest.mark.parametrize("folder", sorted({name.split("/")[0] for name in FILES}))
def test_no_file_of_a_folder_is_longer_than_contributing_allows(folder: str) -> None:
    long = {
        name: lines
        for name in FILES
        if name.split("/")[0] == folder
        and (lines := len((ROOT / name).read_text(encoding="utf-8").splitlines())) > MOST
    }
    assert not long
