"""Which variables of an environment change a malloc."""

from __future__ import annotations

import re
from collections.abc import Mapping

_SETTINGS = re.compile(
    r"(HAKMEM|MALLOC|MIMALLOC|TCMALLOC|TBB_MALLOC|SNMALLOC|RPMALLOC|SCUDO|JE_MALLOC|_RJEM_MALLOC)"
    r"_\w+|HEAPPROFILE|GLIBC_TUNABLES|LD_PRELOAD"
)


def settings(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of an environment that change a malloc."""
    return {name: environment[name] for name in sorted(environment) if _SETTINGS.fullmatch(name)}
