"""The catalogue of programs: its entries, their files, their inputs, and what is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from mtbench.errors import UsageError
from mtbench.programs.entry import Entry, load
from mtbench.programs.inputs import Input, provide
from mtbench.programs.makers import MAKERS
from mtbench.programs.named import CATALOGUE
from tests.mtbench.conftest import Command

HASHES = {
    "documents": "c3b0f2a40b84049c",
    "markup": "8e079e069a3934b9",
    "text": "83bf3c299c99c249",
    "manuscript": "f248274ca5ff498e",
    "pages": "d068fad0d40c63ad",
    "graph": "224403d267d885a3",
    "statements": "3e5797d4fe0345c5",
    "unit": "f217ac447ce214b3",
    "templates": "b486074a2cfefb8f",
    "sudoku": "8ae2b16b18e350f3",
    "clauses": "4fcb2a8e590ef5ed",
}
"""SHA-256 of what each maker makes for a count of 20, its first 16 digits."""


def test_there_are_twenty_programs_of_distributions() -> None:
    assert len(CATALOGUE) >= 20
    for name, entry in CATALOGUE.items():
        assert entry.name == name
        assert entry.packages, name
        assert entry.stands_for.isprintable() and len(entry.stands_for) < 100, name


@pytest.mark.parametrize("name", CATALOGUE)
def test_an_entry_printed_reads_back_as_it_was(tmp_path: Path, name: str) -> None:
    file = tmp_path / "entry.toml"
    file.write_text(CATALOGUE[name].to_toml())
    assert load(file) == CATALOGUE[name]


@pytest.mark.parametrize("name", MAKERS)
def test_an_input_is_the_same_bytes_everywhere(name: str) -> None:
    made = "".join(MAKERS[name](20)).encode()
    assert hashlib.sha256(made).hexdigest()[:16] == HASHES[name]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "missing required field `name`"),
        ('name = "a"\nstands_for = "b"\ncommand = 3', "Expected `str`, got `int` - at `$.command`"),
        ('name = "a"\nstands_for = "b"\ncommand = ""', "command is empty"),
        ('name = "a"\nstands_for = "b"\ncommand = "x \'"', "command cannot be split into words"),
        ('name = "a b"\nstands_for = "b"\ncommand = "x"', "name 'a b' is not 1 - 64 letters"),
        (
            'name = "a"\nstands_for = "b"\ncommand = "x"\ncolour = 1',
            "unknown key `colour`; accepted: name,",
        ),
        (
            'name = "a"\nstands_for = "b"\ncommand = "x"\n[inputs]\ny = { maker = "text" }',
            "unknown key `maker` of an input; accepted: make, count, shell, text, file, sha256",
        ),
        ('name = "a"\nstands_for = "b"\ncommand = "x"\nstdin = "y"', "stdin 'y' is none of its"),
        ('name = "a"\nstands_for = "b"\ncommand = "x"\n[inputs]\ny = {}', "one of make, shell"),
        (
            'name = "a"\nstands_for = "b"\ncommand = "x"\n[inputs]\n"../y" = { text = "z" }',
            "input '../y' is no plain file name",
        ),
        (
            'name = "a"\nstands_for = "b"\ncommand = "x"\n'
            '[inputs]\ny = { make = "soup", count = 1 }',
            "make 'soup' is none of documents",
        ),
        ("name = ", "is no TOML"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_it(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(text)
    with pytest.raises(UsageError) as wrong:
        load(file)
    assert str(wrong.value).startswith(str(file)) and words in str(wrong.value)
    assert "\n" not in str(wrong.value)


def test_an_input_that_is_not_what_its_hash_says_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^input a has the SHA-256 [0-9a-f]{64}, not 00"):
        provide({"a": Input(text="words", sha256="00" * 32)}, tmp_path)


def test_an_input_whose_command_fails_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"input a: 'echo no >&2; exit 3' failed \(exit 3\): no"):
        provide({"a": Input(shell="echo no >&2; exit 3")}, tmp_path)


def test_an_input_is_a_file_beside_the_toml(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("words")
    file = tmp_path / "own.toml"
    file.write_text(
        'name = "own"\nstands_for = "b"\ncommand = "cat it"\n[inputs]\nit = { file = "data" }\n'
    )
    (tmp_path / "work").mkdir()
    provide(load(file).inputs, tmp_path / "work")
    assert (tmp_path / "work" / "it").read_text() == "words"


def test_what_is_missing_is_told_with_what_brings_it() -> None:
    entry = Entry("one", "nothing", "no-such-program-here x", ("no-such", "other"))
    assert entry.obstacle() == ("not installed: no-such-program-here; apt install no-such other")


def test_the_list_shows_every_program_and_its_toml(command: Command) -> None:
    done = command("list", "programs")
    assert done.returncode == 0
    for name in CATALOGUE:
        assert f"\n{name} " in done.stdout
    done = command("list", "programs", "--show", "z3")
    assert (done.returncode, done.stdout) == (0, CATALOGUE["z3"].to_toml())
    done = command("list", "programs", "--show", "nothing")
    assert done.returncode == 2 and "unknown program 'nothing'; accepted: perl" in done.stderr
