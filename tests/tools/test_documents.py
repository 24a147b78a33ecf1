"""What the documents hold that is made is what data and code say, and where it is not, that is
told."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

import workloads
from mtbench.errors import Exit, MtbenchError
from plots.data import PROGRAM_MEASURES, Program, Tally
from tools import specimen
from tools.documents import __main__ as maker
from tools.documents import programs
from tools.documents.marks import MARKS, filled
from tools.faults import FOUND_BY, HANGS, HOARDS
from tools.keep import load, packages, placeless
from tools.repository import DOCS, ROOT


@pytest.mark.parametrize("name", maker.DOCUMENTS)
def test_a_document_is_what_its_data_and_the_code_say(name: str) -> None:
    assert maker.main(["--check", name]) == 0


def test_every_document_with_a_part_that_is_made_is_known_to_the_maker() -> None:
    documents = [ROOT / "README.md", *DOCS.rglob("*.md")]
    marked = {
        str(file.relative_to(ROOT))
        for file in documents
        if MARKS.search(file.read_text(encoding="utf-8"))
    }
    assert marked <= set(maker.DOCUMENTS)


def test_the_page_of_workloads_names_every_workload_kernel_and_parameter() -> None:
    text = (DOCS / "workloads.md").read_text(encoding="utf-8")
    for name in workloads.catalogue():
        assert f"`{name}`" in text
    for kernel in workloads.KERNELS.values():
        assert f"### `{kernel.name}`" in text
        for parameter in kernel.parameters:
            assert f"`{parameter.name}`" in text


PAGE = "# Page\n<!-- table: one -->\nold\n<!-- end -->\nprose\n"


def test_only_what_stands_between_the_marks_is_made_anew() -> None:
    fresh = filled(PAGE, {"one": lambda: r"\1 | new"})
    assert fresh == PAGE.replace("old", r"\1 | new")


@pytest.mark.parametrize("parts", [(), ("one", "two"), ("two",)])
def test_parts_and_marks_that_do_not_belong_together_are_refused(parts: tuple[str, ...]) -> None:
    with pytest.raises(MtbenchError, match="without a maker"):
        filled(PAGE, {name: lambda: "" for name in parts})


def test_a_part_that_stands_twice_is_refused() -> None:
    with pytest.raises(MtbenchError, match="one"):
        filled(PAGE + PAGE, {"one": lambda: ""})


def test_a_stale_document_is_named_with_exit_code_3_and_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("fresh.md", "stale.md"):
        (tmp_path / name).write_text(PAGE)
    monkeypatch.setattr(maker, "ROOT", tmp_path)
    made = {"fresh.md": "old", "stale.md": "new"}
    monkeypatch.setattr(
        maker,
        "DOCUMENTS",
        {name: maker.with_parts(one=partial(str, text)) for name, text in made.items()},
    )
    assert maker.main(["--check"]) == Exit.GATE
    assert capsys.readouterr().err == "stale: stale.md; run make docs\n"
    assert (tmp_path / "stale.md").read_text() == PAGE
    assert maker.main([]) == 0
    assert maker.main(["--check"]) == 0
    assert (tmp_path / "fresh.md").read_text() == PAGE


def test_a_document_that_there_is_not_is_refused_in_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert maker.main(["docs/none"]) == Exit.USAGE
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "docs/none" in told and "docs/study.md" in told


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("pgo=build/pgo/libhakmem.so,plain=build/plain/libhakmem.so", None),
        ("-o ../runs/old/rank -w ./my/loads/my.toml", None),
        ("-a mine=/home/me/lib/libmine.so -o /tmp/runs/rank", "-a mine=libmine.so -o rank"),
        ('{"path": "/usr/lib/x86_64-linux-gnu/libc.so.6"}', '{"path": "libc.so.6"}'),
    ],
)
def test_a_kept_record_loses_the_folders_of_absolute_paths_only(
    text: str, kept: str | None
) -> None:
    assert placeless(text) == (text if kept is None else kept)


def test_the_page_of_programs_says_how_much_of_each_is_its_mallocs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = (Tally(4012345.0, 0.1234, 64.0), None)
    shown = [
        Program(name, name, 1, name, PROGRAM_MEASURES[0], tally=tally)
        for name, tally in zip(("busy", "uncounted"), found, strict=True)
    ]
    run = replace(specimen.several_programs(), programs=tuple(shown))
    monkeypatch.setattr(programs, "_run", lambda: run)
    header, _, busy, uncounted = programs.times().splitlines()
    assert header.startswith(f"| program | calls per second | in malloc | {run.baseline} |")
    assert busy.startswith("| busy | 4.01 M | 12 % |")
    assert uncounted.startswith("| uncounted | – | – |")
    assert programs.memory().startswith(f"| program | {run.baseline} |")


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="no dpkg-query here")
def test_a_kept_run_of_programs_says_which_versions_brought_them() -> None:
    assert set(packages(["perl", "a program of one's own"])) == {"perl"}


def test_the_faults_that_are_told_of_are_those_that_there_are() -> None:
    told = {row["fault"] for row in load("faults.json")["rows"]}
    assert told == set(FOUND_BY | HANGS | HOARDS)
