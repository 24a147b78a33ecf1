"""The tool's claims about itself, on numbers of known noise."""

import json
from pathlib import Path

import numpy as np
import pytest

from mtbench import selfcheck
from mtbench.selfcheck import Experiment


def experiment(noise: float, slowdown: float, comparisons: int = 200) -> Experiment:
    rates = 1e7 * np.random.default_rng(9).lognormal(0, noise, (comparisons, 5, 2))
    rates[:, :, 1] *= 1 - slowdown
    return Experiment("known", "system", "mid_gap", 1, 0.5, 0.1, rates)


@pytest.mark.parametrize("noise", [0.005, 0.03, 0.2])
def test_a_configuration_against_itself_is_no_difference_in_nineteen_of_twenty(
    noise: float,
) -> None:
    for verdicts in (experiment(noise, 0).verdicts(0.02), experiment(noise, 0).unpaired(0.02)):
        assert verdicts.count("no difference seen") >= 190


def test_a_planted_slowdown_of_five_percent_is_found_on_a_quiet_machine() -> None:
    assert experiment(0.01, 0.05).verdicts(0.02).count("slower") >= 180


def test_a_kept_experiment_holds_every_trial_and_both_verdicts() -> None:
    document = selfcheck.report(experiment(0.01, 0.05, 20), "slower", 0.02)
    json.dumps(document)
    assert np.array(document["throughput"]).shape == (20, 5, 2)
    assert document["effect"] == pytest.approx(-0.05, abs=0.01)
    assert sum(document["paired"].values()) == 20


def test_a_short_experiment_runs_and_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "aa.json"
    arguments = ["aa", "--comparisons", "2", "-n", "3", "--duration", "0.02", "--warmup", "0"]
    assert selfcheck.main([*arguments, "--least", "0", "-o", str(kept)]) == 0
    assert json.loads(kept.read_text())["comparisons"] == 2
    assert "no difference seen" in capsys.readouterr().out
