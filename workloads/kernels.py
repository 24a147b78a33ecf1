"""The kernels by name: what each does and which parameters it takes, for specs and for texts."""

from __future__ import annotations

from dataclasses import dataclass

from workloads.errors import number, one_of, refuse, whole


@dataclass(frozen=True)
class Parameter:
    """One number or choice of a kernel.

    `default` is an int (whole numbers from `least` to `most`), a float (any number between), or a
    str (one of `choices`, passed to C as its position).
    """

    name: str
    default: int | float | str
    description: str
    unit: str = ""
    least: float = 0
    most: float = 1 << 24
    choices: tuple[str, ...] = ()

    def checked(self, value: object) -> int | float | str:
        """The value in the parameter's own type; text is read as a number where one is wanted."""
        key = f"parameters.{self.name}"
        if self.choices:
            if not isinstance(value, str) or value not in self.choices:
                raise refuse(key, value, one_of(self.choices))
            return value
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                raise refuse(key, value, f"a number from {self.least:g} to {self.most:g}") from None
        if isinstance(self.default, int):
            return whole(key, value, int(self.least), int(self.most), self.unit)
        return number(key, value, self.least, self.most, self.unit)

    def native(self, value: int | float | str) -> float:
        """The value as the kernel takes it."""
        return float(self.choices.index(value)) if isinstance(value, str) else float(value)

    def allowed(self) -> str:
        """What may be given, in words."""
        if self.choices:
            return one_of(self.choices)
        return f"{self.least:g} - {self.most:g}"


@dataclass(frozen=True)
class Kernel:
    """What the threads of a workload do. `unit` is what the kernel counts."""

    name: str
    description: str
    parameters: tuple[Parameter, ...] = ()
    unit: str = "operations"


SLOTS = Parameter("slots", 256, "blocks in a thread's working set", "slots", 1)

KERNELS: dict[str, Kernel] = {
    kernel.name: kernel
    for kernel in (
        Kernel("toggle", "a random slot: occupied, free it; empty, allocate into it", (SLOTS,)),
        Kernel("replace", "a random slot, always full: free it, allocate into it", (SLOTS,)),
        Kernel(
            "exchange",
            "allocate, swap into a random shared slot, free what came out",
            (
                Parameter("slots", 256, "shared slots for each thread", "slots", 1, 1 << 20),
                Parameter("total_slots", 0, "shared slots in all; 0: slots x threads", "slots"),
            ),
        ),
    )
}
