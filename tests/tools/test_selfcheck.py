"""The tool's claims about itself, on numbers of known noise."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from tools import selfcheck
from tools.selfcheck import Experiment


def experiment(noise: float, slowdown: float, comparisons: int = 200) -> Experiment:
    rates = 1e7 * np.random.default_rng(9).lognormal(0, noise, (comparisons, 5, 2))
    rates[:, :, 1] *= 1 - slowdown
    processor = np.ones_like(rates)
    return Experiment("known", "system", "mid_gap", 1, 0.5, 0.1, rates, processor)


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
    assert np.array(document["processor"]).shape == (20, 5, 2)
    assert sum(document["paired"].values()) == 20


def test_more_trials_find_a_slowdown_more_often_and_the_share_is_told_for_each_number() -> None:
    shares = selfcheck.report(experiment(0.03, 0.05), "slower", 0.02)["share_by_trials"]
    assert list(shares) == ["5", "8", "12", "20"]
    assert shares["5"] < shares["8"] < shares["20"]
    assert shares["20"] > 0.95


def test_who_disturbed_the_experiment_is_seen_in_processor_time() -> None:
    known = experiment(0.005, 0.05)
    had = np.random.default_rng(3).uniform(0.2, 1, known.throughput.shape)
    disturbed = dataclasses.replace(known, throughput=known.throughput * had, processor=had)
    document = selfcheck.report(disturbed, "slower", 0.02)
    assert not document["quiet"]
    assert document["paired"]["slower"] < 40
    assert document["by_processor_time"]["slower"] == 200
    assert document["processor_effect"] == pytest.approx(-0.05, abs=0.002)
    assert selfcheck.report(known, "slower", 0.02)["quiet"]


def test_a_short_experiment_runs_and_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "aa.json"
    arguments = ["aa", "--comparisons", "2", "-n", "3", "--duration", "0.02", "--warmup", "0"]
    assert selfcheck.main([*arguments, "--least", "0", "-o", str(kept)]) == 0
    assert json.loads(kept.read_text())["comparisons"] == 2
    assert "no difference seen" in capsys.readouterr().out
