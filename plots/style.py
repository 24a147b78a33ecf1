"""How everything looks: one fixed colour, marker and dash for each allocator, and the paper.

Colours keep 4.5:1 contrast on white, differ in lightness as well as in hue, and never carry a
meaning alone: the marker and the dash say the same, so a grey print and a colour-blind reader lose
nothing. hakmem and its variants are the blues and violets; peers take the other hues; the null
allocator is no contender but a limit, so it is a neutral dashed line without markers.
"""

from __future__ import annotations

import colorsys
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Literal

INK = "#1f2329"
MUTED = "#59636f"
GRID = "#dfe3e8"
REGION = "#f4f1e9"
REGION_EDGE = "#b9ae93"
NEUTRAL = "#8a919b"
GOOD = "#0b6e4f"
BAD = "#b3261e"
WHITE = "#ffffff"

# What each paper colour becomes on a dark page; series colours are lightened by rule.
DARK = {
    INK: "#e6e9ee",
    MUTED: "#a3adb8",
    GRID: "#30363f",
    REGION: "#24221c",
    REGION_EDGE: "#6e664f",
    NEUTRAL: "#8f98a3",
    GOOD: "#5cc8a0",
    BAD: "#ff8f85",
    WHITE: "#14171b",
}

SOLID: Literal["-"] = "-"
DASH: tuple[float, tuple[float, ...]] = (0, (5, 2))
DOT: tuple[float, tuple[float, ...]] = (0, (1.4, 1.6))
DASHDOT: tuple[float, tuple[float, ...]] = (0, (6, 2, 1.4, 2))
LineStyle = Literal["-"] | tuple[float, tuple[float, ...]]


@dataclass(frozen=True)
class Look:
    """How one allocator is drawn: #rrggbb, matplotlib marker ("" for none), dash, points wide."""

    colour: str
    marker: str
    dash: LineStyle = SOLID
    width: float = 1.6


NULL = Look(NEUTRAL, "", (0, (4, 3)), 1.3)

# Keys are labels as `short` shows them.
LOOKS: dict[str, Look] = {
    "null": NULL,
    "hakmem": Look("#0550ae", "o", SOLID, 2.5),
    "hakmem-fixed": Look("#0a7691", "d", SOLID, 2.0),
    "hakmem flat": Look("#1d4ed8", "o", DASH, 2.0),
    "hakmem prealloc-seqlock": Look("#4361ee", "^", DASH),
    "hakmem prealloc-rwlock": Look("#9c36b5", ">", DASHDOT),
    "hakmem prealloc-locked": Look("#7c4dbd", "<", DASHDOT),
    "hakmem locked": Look("#4c1d95", "v", DOT),
    "hakmem cascade": Look("#46576b", "X", DASH),
    "hakmem cascade-leak": Look("#6a7686", "P", DOT),
    "system": Look("#24292f", "s"),
    "jemalloc": Look("#c2410c", "^"),
    "tcmalloc": Look("#047857", "D"),
    "mimalloc": Look("#946200", "v"),
    "mimalloc3": Look("#ad5a00", "p", DASH),
    "tbb": Look("#be185d", "h"),
    "rpmalloc": Look("#86198f", "P"),
    "snmalloc": Look("#0e7490", "X"),
    "scudo": Look("#4d7c0f", ">"),
    "hoard": Look("#7f1d1d", "<"),
}

# Other spellings of a peer: library names and package names.
ALIASES = {
    "libc": "system",
    "glibc": "system",
    "tbbmalloc": "tbb",
    "tcmalloc-minimal": "tcmalloc",
    "tcmalloc_minimal": "tcmalloc",
    "gperftools": "tcmalloc",
    "mimalloc2": "mimalloc",
    "cmeel-mimalloc": "mimalloc3",
    "mimalloc-cmeel": "mimalloc3",
}

# For labels nobody foresaw; none is the colour of a known one.
POOL: tuple[Look, ...] = (
    Look("#b4530f", "*", DASHDOT),
    Look("#15703c", "8", DASH),
    Look("#a3123a", "p", DASHDOT),
    Look("#6b21a8", "h", DOT),
    Look("#0f665f", "P", DOT),
    Look("#7a5c00", "X", DASHDOT),
    Look("#334e9c", "s", DASHDOT),
    Look("#8a2f5f", "D", DASH),
    Look("#3f6212", "v", DASHDOT),
    Look("#5b4636", "^", DOT),
    Look("#1f6f8b", "<", DASH),
    Look("#704264", ">", DOT),
)


def short(label: str) -> str:
    """Return the label as figures show it: "hakmem:registry=locked" is "hakmem locked".

    An option whose value is not a word by itself keeps its name: "hakmem:check=1" is
    "hakmem check=1". Distinct labels stay distinct.
    """
    head, colon, options = label.partition(":")
    if not colon:
        return label
    words = []
    for option in options.split(","):
        name, _, value = option.partition("=")
        plain = value.replace("-", "").isalpha() and name in ("registry", "route", "lock")
        words.append(value if plain else option)
    return f"{head} {'+'.join(words)}"


def looks(labels: Iterable[str]) -> dict[str, Look]:
    """Return the look of each label. A known label always has its own, whoever else is drawn;
    an unknown one takes a free place of the pool that its name points to, so it keeps it from
    run to run unless two unknown names collide."""
    chosen: dict[str, Look] = {}
    used: set[int] = set()
    for label in sorted(set(labels)):
        known = _known(label)
        if known is not None:
            chosen[label] = known
            continue
        place = zlib.crc32(label.encode()) % len(POOL)
        for _ in POOL:
            if place not in used:
                break
            place = (place + 1) % len(POOL)
        used.add(place)
        chosen[label] = POOL[place]
    return chosen


def _known(label: str) -> Look | None:
    name = short(label)
    if name in LOOKS:
        return LOOKS[name]
    return LOOKS.get(ALIASES.get(name.lower(), ""))


def darker_page(colour: str) -> str:
    """Return the colour that plays the same part on a dark page, as #rrggbb."""
    if colour in DARK:
        return DARK[colour]
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    hue, light, saturation = colorsys.rgb_to_hls(red, green, blue)
    # Dark series colours sit at lightness 0.1 to 0.5; on dark paper they need 0.6 to 0.8.
    lifted = 0.62 + 0.3 * min(light, 0.5)
    back = colorsys.hls_to_rgb(hue, lifted, min(saturation, 0.75))
    return "#" + "".join(f"{round(part * 255):02x}" for part in back)


@cache
def palette() -> tuple[str, ...]:
    """Return every colour that figures use for lines and text, as #rrggbb, each once."""
    series = [look.colour for look in (*LOOKS.values(), *POOL)]
    return tuple(dict.fromkeys([*DARK, *series]))
