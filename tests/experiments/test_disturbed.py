"""Runs that are disturbed for real: killed runners and workers, full and read-only disks, Ctrl-C."""

from __future__ import annotations

import json
import os
import random
import resource
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from redbutton.experiments.records import RunFolder, TrialWriter, read_events
from redbutton.experiments.runner import run_study
from redbutton.experiments.study import load_study

pytestmark = pytest.mark.slow

DRIVE = Path(__file__).resolve().parent / "drive.py"


def may_mount() -> bool:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    probe = ["unshare", "-m", "sh", "-c", "mount -t tmpfs -o size=64k tmpfs /mnt"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


needs_mounts = pytest.mark.skipif(not may_mount(), reason="needs root and mount namespaces")


def start(study: Path, out: Path, *rest: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(DRIVE), str(study), str(out), *rest]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def wait_for(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    for said in process.stdout:
        if said.strip() == line:
            return
    assert process.stderr is not None
    raise AssertionError(process.stderr.read())


def end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def kill_and_wait_for_workers(process: subprocess.Popen[str]) -> None:
    """SIGKILL the runner alone; its pipes close only once every worker has ended too."""
    process.kill()
    end(process)


def running_in_group(group: int) -> list[str]:
    """Processes of a group that still run; zombies have ended and only wait for init to notice."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().rpartition(") ")
        except (FileNotFoundError, ProcessLookupError):
            continue
        state, _, pgrp = rest.split()[:3]
        if int(pgrp) == group and state not in "ZX":
            found.append(name)
    return found


def finished_files(out: Path) -> dict[str, bytes]:
    files = {p.name: p.read_bytes() for p in (out / "trials").glob("*.jsonl")}
    return {name: data for name, data in files.items() if b'"type":"trial_end"' in data and data.endswith(b"\n")}


@pytest.mark.parametrize("moment", range(3))
def test_a_runner_killed_at_any_moment_resumes_to_the_summary_of_an_undisturbed_run(
    moment, tmp_path, study_file, small, without_wall
):
    study, rng = study_file(seeds=6, frames="all"), random.Random(moment)
    undisturbed = run_study(load_study(study), tmp_path / "calm", jobs=2, trial_function=small)
    total, killed_after = 24, rng.randrange(0, 23)
    process = start(study, tmp_path / "run")
    wait_for(process, f"{killed_after}/{total}")
    time.sleep(rng.uniform(0.0, 0.02))  # the moment itself, not a wait for anything
    kill_and_wait_for_workers(process)
    before = finished_files(tmp_path / "run")
    assert killed_after <= len(before) <= total
    result = run_study(load_study(study), tmp_path / "run", jobs=2, trial_function=small, resume=True)
    assert result.summary.to_json() == undisturbed.summary.to_json()
    assert without_wall(result.rows) == without_wall(undisturbed.rows)
    after = finished_files(tmp_path / "run")
    assert len(after) == total
    assert {name: after[name] for name in before} == before, "a finished trial was run again or changed"
    images = lambda run: {str(p.relative_to(run)): p.read_bytes() for p in run.glob("trials/*/*")}  # noqa: E731
    assert images(tmp_path / "run") == images(tmp_path / "calm")


def test_a_run_killed_twice_still_ends_like_an_undisturbed_one(tmp_path, study_file, small):
    study = study_file(seeds=6)
    undisturbed = run_study(load_study(study), tmp_path / "calm", jobs=2, trial_function=small)
    for rest, line in (((), "4/24"), (("resume",), "12/24")):
        process = start(study, tmp_path / "run", *rest)
        wait_for(process, line)
        kill_and_wait_for_workers(process)
    result = run_study(load_study(study), tmp_path / "run", jobs=2, trial_function=small, resume=True)
    assert result.summary.to_json() == undisturbed.summary.to_json()
    assert len(json.loads((tmp_path / "run/run.json").read_text())["sessions"]) == 3


def test_workers_end_with_their_runner_even_in_the_middle_of_a_trial(tmp_path, study_file):
    process = start(study_file(seeds=2), tmp_path / "run", "trial_functions:endless")
    wait_for(process, "0/8")
    trials = tmp_path / "run/trials"
    deadline = time.monotonic() + 120
    while len(list(trials.glob("*.jsonl"))) < 2 and time.monotonic() < deadline:
        select.select([], [], [], 0.01)
    assert len(list(trials.glob("*.jsonl"))) == 2
    process.kill()
    end(process)  # returns only once nothing holds the pipes any more
    while (left := running_in_group(process.pid)) and time.monotonic() < deadline:
        select.select([], [], [], 0.01)  # a process closes its pipes a moment before it is a zombie
    assert left == []


def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(tmp_path, study_file, small):
    study, out = study_file(seeds=20), tmp_path / "run"
    process = start(study, out)
    wait_for(process, "5/80")
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the runner and every worker
    code, _, err = end(process)
    assert code == 130
    assert err.count("\n") == 1, err
    assert f"redbutton run {out / 'study.yaml'} --out {out} --resume" in err
    run = RunFolder.open(out)
    assert 5 <= 80 - len(run.scan()) < 80
    assert (out / "outcomes.parquet").exists()
    result = run_study(load_study(out / "study.yaml"), out, jobs=2, trial_function=small, resume=True)
    assert len(result.rows) == 80


def in_namespace(script: str, **env: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "PY": sys.executable, "DRIVE": str(DRIVE), **env}
    command = ["unshare", "-m", "sh", "-euc", script]
    return subprocess.run(command, capture_output=True, text=True, env=variables, timeout=120, check=False)


FULL = """
mkdir "$OUT"; mount -t tmpfs -o size=600k tmpfs "$OUT"
code=0; "$PY" "$DRIVE" "$STUDY" "$OUT/run" >/dev/null || code=$?; echo "code $code"
cp -r "$OUT/run/trials" "$KEEP"
mount -o remount,size=60m "$OUT"
code=0; "$PY" "$DRIVE" "$STUDY" "$OUT/run" resume >/dev/null || code=$?; echo "code $code"
cp -r "$OUT/run" "$AFTER"
"""


@needs_mounts
def test_a_full_disk_stops_the_run_with_one_line_and_loses_nothing_finished(tmp_path, study_file, small):
    study = study_file(seeds=6, frames="all")
    paths = {"OUT": tmp_path / "disk", "KEEP": tmp_path / "keep", "AFTER": tmp_path / "after", "STUDY": study}
    done = in_namespace(FULL, **{k: str(v) for k, v in paths.items()})
    assert done.stdout == "code 1\ncode 0\n", done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert "No space left on device" in done.stderr
    kept = {p.name: p.read_bytes() for p in paths["KEEP"].glob("*.jsonl") if b"trial_end" in p.read_bytes()}
    assert 0 < len(kept) < 24
    after = {p.name: p.read_bytes() for p in (paths["AFTER"] / "trials").glob("*.jsonl")}
    assert len(after) == 24
    assert {name: after[name] for name in kept} == kept
    calm = run_study(load_study(study), tmp_path / "calm", jobs=2, trial_function=small)
    assert json.loads((paths["AFTER"] / "summary.json").read_text()) == calm.summary.to_json()


READ_ONLY = """
mkdir "$OUT"; mount -t tmpfs -o size=6m tmpfs "$OUT"
if [ -n "$FIRST" ]; then "$PY" "$DRIVE" "$STUDY" "$OUT/run" >/dev/null; rm "$OUT"/run/trials/*s0.jsonl; fi
mount -o remount,ro "$OUT"
code=0; "$PY" "$DRIVE" "$STUDY" "$OUT/run" $FIRST >/dev/null || code=$?; echo "code $code"
"""


@needs_mounts
@pytest.mark.parametrize("first", ["", "resume"], ids=["new run", "resumed run"])
def test_a_read_only_folder_is_refused_before_the_first_trial_with_one_line(first, tmp_path, study_file):
    done = in_namespace(READ_ONLY, OUT=str(tmp_path / "disk"), STUDY=str(study_file(seeds=1)), FIRST=first)
    assert done.stdout == "code 2\n", done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Read-only file system" in done.stderr


def test_a_file_size_limit_stops_the_run_with_one_line(tmp_path, study_file):
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    command = [sys.executable, str(DRIVE), str(study_file(seeds=2)), str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert "File too large" in done.stderr


def test_a_writer_never_writes_after_a_torn_line(tmp_path):
    """With a limit on file size the disk takes a part of the line and refuses the rest."""
    script = (
        "import resource, sys; from pathlib import Path\n"
        "from redbutton.experiments.records import TrialWriter\n"
        "from redbutton.experiments.errors import StorageError\n"
        "w = TrialWriter(Path(sys.argv[1]), 't'); w.event('trial_start', 0.0)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200, resource.RLIM_INFINITY))\n"
        "for attempt in range(2):\n"
        "    try: w.event('say', 1.0, text='x' * 500)\n"
        "    except StorageError: print('refused')\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (10000, resource.RLIM_INFINITY))\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "refused\nrefused\n"
    assert (tmp_path / "t.jsonl").stat().st_size == 200
    assert [e["type"] for e in read_events(tmp_path / "t.jsonl")] == ["trial_start"]
    with TrialWriter(tmp_path, "t", append=True) as writer:
        assert writer.event("warning", 1.0, text="mended") == 1
    assert [e["i"] for e in read_events(tmp_path / "t.jsonl")] == [0, 1]
