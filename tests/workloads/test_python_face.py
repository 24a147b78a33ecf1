"""The examples of docs/api.md run as they stand, and leave what they say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import workloads
from tools.repository import DOCS

PAGE = DOCS / "api.md"


def test_examples_of_the_page_run_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    examples = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.S | re.M)
    assert len(examples) == 6
    names: dict[str, Any] = {}
    exec(compile("\n".join(examples), str(PAGE), "exec"), names)
    assert names["best"].shape == names["run"].throughput.shape[:3] == (2, 3, 2)
    assert (names["best"] > 0).all()
    assert names["memory"].shape == (2, 3, 2, 2)
    assert len(names["rows"]) == 12
    assert len((tmp_path / "cells.csv").read_text(encoding="utf-8").splitlines()) == 13
    assert names["p99"] > 0


def test_public_names_say_what_they_are() -> None:
    for name in workloads.__all__:
        found = getattr(workloads, name)
        assert found.__doc__ or not callable(found), name
