"""Writes the C source of the `allocator._hakmem` extension: ``python build_ffi.py OUT.c``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import cffi

HEADER = Path(__file__).resolve().parent / "include" / "hakmem.h"


def declarations(header: str) -> str:
    """The header's declarations as cffi wants them: no preprocessor, no export marks."""
    text = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    constants = dict(re.findall(r"#define (HAK_STATS_\w+) (\d+)", text))
    text = re.sub(r"#ifdef __cplusplus.*?#endif", "", text, flags=re.DOTALL)
    text = re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)
    text = text.replace("HAK_EXPORT ", "")
    for name, value in constants.items():
        text = text.replace(f"[{name}]", f"[{value}]")
    return text


def main() -> None:
    """Emits the module's source to the path given as the only argument."""
    ffi = cffi.FFI()
    ffi.cdef(declarations(HEADER.read_text(encoding="utf-8")))
    ffi.set_source("allocator._hakmem", '#include "hakmem.h"')
    ffi.emit_c_code(sys.argv[1])


if __name__ == "__main__":
    main()
