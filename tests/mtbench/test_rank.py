"""rank: a rival that was chosen because it was the best is not believed as easily as one named."""

import numpy as np

from mtbench.analysis.cells import CellData, Results
from mtbench.commands.rank import standings
from mtbench.plan.plan import Cell, Plan, grid

RATIOS = np.array([1.03, 1.03, 1.10, 1.16, 1.16])
"""Student's p is 0.028: below 0.05, above 0.05 / 6."""


def verdict(ratios: np.ndarray, rivals: int) -> str:
    """What is said of hakmem over the first rival, the fastest of so many."""
    others = [f"peer{number}" for number in range(rivals)]
    labels = ["hakmem", *others]
    plan = Plan(
        tuple(labels), ("mid_gap",), (1,), 5, 0.05, 0.0, 1, 2, grid(labels, ["mid_gap"], [1])
    )
    cells = {cell: CellData(cell, plan.trials) for cell in plan.cells}
    for label in labels:
        rates = 2e7 * ratios if label == "hakmem" else np.full(5, 2e7 if label == "peer0" else 1e7)
        cells[Cell(label, "mid_gap", 1)].values["throughput"] = rates
    (row,), absent = standings("hakmem", others, plan, Results(cells, [], 0))
    assert (row.best, absent) == ("peer0", [])
    return row.verdict


def test_the_best_of_many_rivals_needs_more_evidence_than_one_that_was_named() -> None:
    assert [verdict(RATIOS, rivals) for rivals in (1, 6)] == ["faster", "no difference seen"]
    assert [verdict(1 / RATIOS, rivals) for rivals in (1, 6)] == ["slower", "no difference seen"]
