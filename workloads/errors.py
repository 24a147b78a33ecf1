"""What is raised for a workload that cannot be."""

from __future__ import annotations

from collections.abc import Iterable


class SpecError(ValueError):
    """A workload that cannot be run. The message is one line: key, value, and what is allowed."""


def refuse(key: str, value: object, allowed: str) -> SpecError:
    """The error for a bad value of a key, with what would be accepted."""
    try:
        shown = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, nested lists
        shown = f"a {type(value).__name__}"
    shown = shown if len(shown) <= 80 else f"{shown[:80]}..."
    key = key if key.isprintable() else ascii(key)
    return SpecError(f"{key[:80]} = {shown}: must be {allowed}")


def one_of(names: Iterable[str]) -> str:
    """A list of choices for a message."""
    return "one of " + ", ".join(names)


def number(key: str, value: object, least: float, most: float, unit: str = "") -> float:
    """The value as a finite number in least .. most, or a SpecError."""
    allowed = f"a number from {least:g} to {most:g}" + (f" {unit}" if unit else "")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise refuse(key, value, allowed)
    if not least <= value <= most:  # also false for nan
        raise refuse(key, value, allowed)
    return float(value)


def whole(key: str, value: object, least: int, most: int, unit: str = "") -> int:
    """The value as an integer in least .. most, or a SpecError."""
    allowed = f"a whole number from {least} to {most}" + (f" {unit}" if unit else "")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value // 1:
        raise refuse(key, value, allowed)
    if not least <= value <= most:
        raise refuse(key, value, allowed)
    return int(value)
