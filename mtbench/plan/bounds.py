"""What kinds of number an option or a parameter takes, each with its bounds and their words."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any

from mtbench.errors import UsageError
from mtbench.plan.plan import MOST_THREADS, MOST_TRIALS


class Number:
    """A kind of number: `read` takes it from a text, `checked` from Python. name: in words."""

    def __init__(
        self, kind: Callable[[Any], Any], name: str, accepted: str, fits: Callable[[Any], bool]
    ) -> None:
        self.name = name
        self._kind, self._accepted, self._fits = kind, accepted, fits

    def read(self, text: str) -> Any:
        """The number that a text says. Raises ValueError if it says none, UsageError if that does
        not fit."""
        value = self._kind(text)
        if not self._fits(value):
            raise UsageError(f"{text} is not {self._accepted}")
        return value

    def checked(self, name: str, value: object) -> Any:
        """The value as a plain number. Raises UsageError, which names the parameter."""
        wanted = numbers.Integral if self._kind is int else numbers.Real
        if isinstance(value, bool) or not isinstance(value, wanted) or not self._fits(value):
            raise UsageError(f"{name} {value!r} is not possible; accepted: {self._accepted}")
        return self._kind(value)


COUNT = Number(int, "whole number", "a whole number above 0", lambda n: n >= 1)
TRIALS = Number(
    int, "whole number", f"a number of trials, 1-{MOST_TRIALS}", lambda n: 1 <= n <= MOST_TRIALS
)
THREADS = Number(int, "whole number", f"1-{MOST_THREADS}", lambda n: 1 <= n <= MOST_THREADS)
SEED = Number(int, "whole number", "a whole number from 0 to 10^15", lambda n: 0 <= n <= 10**15)
EVERY = Number(
    int, "whole number", "a whole number from 0 to 2^30, 0 for none", lambda n: 0 <= n <= 1 << 30
)
WINDOW = Number(
    float,
    "number of seconds",
    "a number of seconds above 0, from 0.001 to 86400",
    lambda s: 0.001 <= s <= 86400,
)
PAUSE = Number(
    float,
    "number of seconds",
    "a number of seconds, 0 or more, at most 86400",
    lambda s: 0 <= s <= 86400,
)
SECONDS = Number(float, "number of seconds", "a number of seconds above 0", lambda s: 0 < s < 1e6)
SHARE = Number(
    float, "share", "a share below 1, such as 0.05 for 5 %", lambda share: 0 <= share < 1
)
RATIO = Number(float, "ratio", "a ratio above 0, such as 0.95", lambda ratio: 0 < ratio < 1e6)
