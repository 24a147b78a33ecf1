"""The form of a run directory's files, as JSON Schema and in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct, inspect

from mtbench.runs.manifest import Manifest
from mtbench.runs.record import Record
from mtbench.runs.result import Missing


def document() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a line of trials.jsonl, and of manifest.json."""
    template = "#/$defs/{name}"
    forms, parts = msgspec.json.schema_components([Record, Manifest], ref_template=template)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "a line of trials.jsonl, or manifest.json, of an mtbench run",
        "anyOf": list(forms),
        "$defs": parts,
    }


def fields(kind: type[Struct] = Record, path: str = "") -> Iterator[tuple[str, str]]:
    """Every field below `kind`: its path, a list's marked by [], and what it holds."""
    for entry in msgspec.structs.fields(kind):
        yield from _below(inspect.type_info(entry.type), f"{path}{entry.encode_name}", "")


def _below(info: Any, path: str, told: str) -> Iterator[tuple[str, str]]:
    while isinstance(info, inspect.Metadata):
        told = told or (info.extra_json_schema or {}).get("description", "")
        info = info.type
    if isinstance(info, inspect.UnionType):
        # One struct beside null, or numbers beside the reason why there is none.
        parts = [one for one in info.types if getattr(one, "cls", None) is not Missing]
        deep = [one for one in parts if isinstance(one, (inspect.StructType, inspect.ListType))]
        yield from _below((deep or parts)[0], path, told)
    elif isinstance(info, inspect.StructType):
        yield from fields(info.cls, f"{path}.")
    elif isinstance(info, inspect.ListType) and isinstance(info.item_type, inspect.StructType):
        yield from fields(info.item_type.cls, f"{path}[].")
    else:
        yield path, told
