"""What an organism's trial costs. Memory is held to its limit here; times are left to ``make bench``."""

from __future__ import annotations

import re
import sys

import pytest

from redbutton.experiments import bench_organism
from redbutton.experiments.bench_organism import LIMIT_MB, ORGANISMS, PEER, figures_of, fresh, organism_figures

ENGINE = "pip install 'redbutton[local]'"


def test_without_the_engine_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    (figure,) = organism_figures()
    assert figure.value.startswith("not measured: a local model needs llama.cpp")
    assert figure.met is None


@pytest.mark.parametrize(("slowest_s", "own_mb", "met"), [(5.0, 400.0, (True, True)), (5.1, 400.1, (False, False))])
def test_the_slowest_trial_and_the_peak_are_held_to_their_limits(
    slowest_s: float, own_mb: float, met: tuple[bool, bool]
) -> None:
    call = {"prompt_n": 300, "prompt_ms": 50.0, "predicted_n": 20, "predicted_ms": 10.0}
    own = [{"wall_s": wall_s, "cpu_s": 0.4, "valid": wall_s < 1.0, "calls": [call] * 2} for wall_s in (0.5, slowest_s)]
    told = {"own": own, "peer": own[:1], "again": own[0]}
    time, _, _, memory, speed = figures_of("local:x", told, own_mb, 100.0)
    assert (time.met, memory.met) == met
    assert time.value.endswith("; 1 of 2 valid")
    assert speed.value == "6,000, 2,000 tokens/s (2 calls a trial)"


@pytest.mark.llm
@pytest.mark.slow
@pytest.mark.xdist_group("organism")
def test_a_trial_of_an_organism_takes_at_most_300_mb_above_a_scripts() -> None:
    pytest.importorskip("xllamacpp", reason=ENGINE)
    script = fresh(PEER, 1)
    assert script["own"][0]["calls"] == []
    told = fresh(f"local:{ORGANISMS[0]}", 1)
    assert told["own"][0]["valid"]
    assert len(told["own"][0]["calls"]) >= 2
    assert 1.0 < told["peak_mb"] - script["peak_mb"] <= LIMIT_MB == 300.0


@pytest.mark.llm
@pytest.mark.slow
@pytest.mark.xdist_group("organism")
def test_each_organism_has_its_figures_beside_the_scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("xllamacpp", reason=ENGINE)
    monkeypatch.setattr(bench_organism, "ORGANISMS", ORGANISMS[-1:])
    monkeypatch.setattr(bench_organism, "TRIALS", 2)
    own, peer, first, memory, speed = organism_figures()
    for figure in (own, peer):
        assert re.fullmatch(r"(p50 [\d.]+, p95 [\d.]+, max [\d.]+ (s|CPU s); ){2}2 of 2 valid", figure.value)
    assert (own.aim, memory.aim) == ("max ≤ 5 s", "≤ 300 MB")
    assert memory.met
    assert re.fullmatch(r"[\d.]+, [\d.]+ s", first.value)
    assert all(float(n.replace(",", "")) > 0 for n in re.findall(r"[\d,]+\d", speed.value))
