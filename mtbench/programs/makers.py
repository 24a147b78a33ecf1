"""What programs read, made here from a seed: the same bytes on every machine.

Each maker takes a count and yields text. What random.Random gives for a seed is the same in every
Python since 3.2, as long as only `random`, `randrange` and `choice` are asked.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

_SEED = 20240229
_LETTERS = "etaoinshrdlucmfwypvbgkjqxz"


def _words() -> list[str]:
    """4000 words of 2 to 10 letters, a few of them twice."""
    letters = random.Random(_SEED)
    return [
        "".join(letters.choice(_LETTERS) for _ in range(2 + index % 9)) for index in range(4000)
    ]


def _documents(count: int) -> Iterator[dict[str, Any]]:
    """Records as services exchange them: numbers, short strings, a list, a nested record."""
    of, words = random.Random(_SEED), _words()
    for index in range(count):
        yield {
            "id": index,
            "name": " ".join(of.choice(words) for _ in range(3)),
            "score": of.randrange(1_000_000) / 1000,
            "tags": [of.choice(words) for _ in range(of.randrange(8))],
            "place": {"street": of.choice(words), "number": of.randrange(500)},
            "active": of.randrange(2) == 1,
        }


def documents(count: int) -> Iterator[str]:
    """One JSON list of `count` records, about 170 bytes each."""
    yield "["
    for index, each in enumerate(_documents(count)):
        yield (",\n" if index else "") + json.dumps(each)
    yield "]\n"


def markup(count: int) -> Iterator[str]:
    """One XML document of `count` records."""
    yield "<all>\n"
    for each in _documents(count):
        tags = "".join(f"<tag>{tag}</tag>" for tag in each["tags"])
        place = f'<place number="{each["place"]["number"]}">{each["place"]["street"]}</place>'
        yield f'<doc id="{each["id"]}"><name>{each["name"]}</name>{tags}{place}</doc>\n'
    yield "</all>\n"


def text(count: int) -> Iterator[str]:
    """`count` lines of ten words."""
    of, words = random.Random(_SEED), _words()
    for _ in range(count):
        yield " ".join(of.choice(words) for _ in range(10)) + "\n"


def manuscript(count: int) -> Iterator[str]:
    """`count` lines of text with the headings and paragraphs of troff's ms macros."""
    for index, line in enumerate(text(count)):
        heading = f".NH\n{line.split()[0]}\n" if index % 40 == 0 else ""
        yield heading + (".PP\n" if index % 5 == 0 else "") + line


def pages(count: int) -> Iterator[str]:
    """`count` pages of 70 lines in PostScript."""
    yield "%!PS\n/Helvetica findfont 8 scalefont setfont\n"
    for index, line in enumerate(text(70 * count)):
        yield f"36 {760 - 10 * (index % 70)} moveto ({line.strip()}) show\n"
        if index % 70 == 69:
            yield "showpage\n"


def graph(count: int) -> Iterator[str]:
    """A graph of `count` nodes in DOT, two edges to each from earlier ones."""
    of = random.Random(_SEED)
    yield "digraph g {\n"
    for index in range(1, count):
        yield f"n{of.randrange(index)} -> n{index};\nn{of.randrange(index)} -> n{index};\n"
    yield "}\n"


def statements(count: int) -> Iterator[str]:
    """SQL of SQLite: a table of `count` rows, an index, three queries over them."""
    yield "create table t (id integer primary key, name text, value real);\n"
    yield f"with recursive n(i) as (select 1 union all select i + 1 from n where i < {count})\n"
    yield "  insert into t select i, 'name' || (i * 7919 % 200003), i * 0.5 from n;\n"
    yield "create index by_name on t (name);\n"
    yield "select count(*), sum(length(name)) from t;\n"
    yield "select substr(name, 5, 2) k, count(*), sum(value) from t group by k order by k;\n"
    yield "select sum(json_extract(json_object('a', id, 'b', name), '$.a')) from t;\n"


def unit(count: int) -> Iterator[str]:
    """A C translation unit of `count` structures and functions with loops and switches."""
    yield "#include <stdio.h>\n"
    for index in range(count):
        length = index % 7 + 1
        yield f"struct s{index} {{ int a, b[{length}]; const char *name; }};\n"
        yield f"static int f{index}(int x, struct s{index} *s) {{\n  int t = x;\n"
        yield f"  for (int j = 0; j < {length}; j++) {{\n"
        yield f"    t += s->b[j] * {index} ^ (t >> {index % 5});\n"
        yield f"    switch (t & 3) {{ case 0: t += s->a; break; case 1: t -= {index}; break;\n"
        yield "    case 2: t *= 3; break; default: t ^= x; }\n  }\n  return t;\n}\n"
    yield "int main(void) {\n  int t = 0;\n"
    for index in range(count):
        yield f"  {{ struct s{index} v = {{.a = {index}}}; t += f{index}(t, &v); }}\n"
    yield '  printf("%d\\n", t);\n  return 0;\n}\n'


def templates(count: int) -> Iterator[str]:
    """A C++ translation unit that instantiates maps, vectors, sorts and functions `count` times."""
    for header in ("algorithm", "functional", "map", "string", "vector"):
        yield f"#include <{header}>\n"
    for index in range(count):
        yield f"struct k{index} {{ int a; std::string b;\n"
        yield f"  bool operator<(const k{index} &o) const {{ return a < o.a; }} }};\n"
        yield f"int f{index}() {{\n  std::map<k{index}, std::vector<std::string>> m;\n"
        yield f'  m[k{index}{{{index}, "x"}}].push_back("y");\n'
        yield f"  std::vector<k{index}> v(3);\n  std::sort(v.begin(), v.end());\n"
        yield f"  std::function<int(k{index})> g = [](k{index} k) {{ return k.a; }};\n"
        yield f'  return m.size() + g(k{index}{{1, ""}});\n}}\n'


def sudoku(_count: int) -> Iterator[str]:
    """A Sudoku in SMT-LIB 2: integers, one solution; which one is asked for does not vary."""
    rows = (
        "8........ ..36..... .7..9.2.. .5...7... ....457.. ...1...3. ..1....68 ..85...1. .9....4.."
    )
    grid, nine = rows.split(), range(9)
    for row in nine:
        for column in nine:
            cell = f"c{row}{column}"
            yield f"(declare-const {cell} Int)(assert (and (<= 1 {cell}) (<= {cell} 9)))\n"
            if grid[row][column] != ".":
                yield f"(assert (= {cell} {grid[row][column]}))\n"
    for one in nine:
        yield f"(assert (distinct {' '.join(f'c{one}{other}' for other in nine)}))\n"
        yield f"(assert (distinct {' '.join(f'c{other}{one}' for other in nine)}))\n"
        box = (f"c{one // 3 * 3 + other // 3}{one % 3 * 3 + other % 3}" for other in nine)
        yield f"(assert (distinct {' '.join(box)}))\n"
    yield "(check-sat)\n"
    for row in nine:
        digits = (f"(* {10 ** (8 - column)} c{row}{column})" for column in nine)
        yield f"(eval (+ {' '.join(digits)}))\n"


def clauses(count: int) -> Iterator[str]:
    """A random 3-SAT formula in DIMACS over `count` variables, 4.26 clauses to each, where about
    half of all have a solution (Crawford and Auton, 1996)."""
    of = random.Random(_SEED)
    many = int(4.26 * count)
    yield f"p cnf {count} {many}\n"
    for _ in range(many):
        yield "".join(f"{(1 + of.randrange(count)) * of.choice((1, -1))} " for _ in "123") + "0\n"


MAKERS: dict[str, Callable[[int], Iterator[str]]] = {
    maker.__name__: maker
    for maker in (
        *(documents, markup, text, manuscript, pages, graph),
        *(statements, unit, templates, sudoku, clauses),
    )
}
"""What makes an input, by name."""
