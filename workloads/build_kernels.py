"""Writes the C source of the cffi module `workloads._kernels` to the path it is given.

The declarations are those of include/workloads.h, read rather than repeated.
"""

import re
import sys
from pathlib import Path

from cffi import FFI


def declarations(header: str) -> str:
    """The header without preprocessor lines, which cffi's parser does not take."""
    return re.sub(r"^#.*$", "", header, flags=re.MULTILINE)


def main() -> None:
    """Write the module's source."""
    header = Path(__file__).parent / "include" / "workloads.h"
    builder = FFI()
    builder.cdef(declarations(header.read_text(encoding="utf-8")))
    builder.cdef('extern "Python" void at_edge(int32_t edge);')
    builder.set_source("workloads._kernels", '#include "workloads.h"')
    builder.emit_c_code(sys.argv[1])


if __name__ == "__main__":
    main()
