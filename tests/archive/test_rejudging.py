import csv
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from archive import workers
from archive.changes import changes
from archive.plan import make_plan
from archive.rejudging import Crew, Rejudged, judge_missing, rejudge
from archive.results import write_results
from archive.shard_judge import ShardJudge
from assessment.prediction import predict
from core.errors import ArtifactError, BackendError, ConfigError, DataError
from tests.processes import below
from tests.runtime.small_bundle import write_bundle
from tests.runtime.waiting import WAIT_S, wait_until

ROOT = Path(__file__).parents[2]


def rows_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_every_picture_is_a_row_as_predict_says_whatever_the_file_s_format(
    bundle: Path, pictures: Path, tmp_path: Path
) -> None:
    told = rejudge(bundle, [pictures], tmp_path / "all.jsonl", Crew(2), shard_pictures=16)
    rows = rows_of(tmp_path / "all.jsonl")
    expected = [one.row(9) for one in predict(bundle, [pictures])]
    assert rows == [{name: value for name, value in row.items() if name != "overlay"} for row in expected]
    assert told.verdicts == {"OK": 30, "NotOK": 9, "NotDecidable": 1}
    assert rows[0]["verdict"] == "NotDecidable"
    assert told.undecided == (rows[0]["reason"],)
    assert "00000-cut.png: not a whole picture" in rows[0]["reason"]
    assert not (tmp_path / "all.jsonl.work").exists()


def test_a_folder_that_is_somebody_s_is_not_taken_away(bundle: Path, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "all.csv.work").mkdir()
    (tmp_path / "all.csv.work" / "thesis").touch()
    with pytest.raises(ConfigError, match="holds thesis"):
        rejudge(bundle, [pictures], tmp_path / "all.csv", Crew(1))
    assert (tmp_path / "all.csv.work" / "thesis").exists()


def test_folders_that_overlap_give_each_picture_once(bundle: Path, pictures: Path, tmp_path: Path) -> None:
    once, twice = (make_plan(bundle, [pictures] * times, tmp_path / str(times)) for times in (1, 2))
    assert once.pictures == twice.pictures


@pytest.mark.usefixtures("judged_in_this_process")
def test_parquet_and_csv_hold_the_same_rows(bundle: Path, pictures: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    plan = make_plan(bundle, [pictures], tmp_path / "work", 30)
    judge_missing(plan, Crew(1), "judging")
    for name in ("all.jsonl", "all.parquet", "all.csv"):
        write_results(plan, tmp_path / name)
    rows = rows_of(tmp_path / "all.jsonl")
    assert len(rows) == 40
    assert parquet.read_table(tmp_path / "all.parquet").to_pylist() == rows
    lines = [*csv.DictReader((tmp_path / "all.csv").read_text().splitlines())]
    assert lines == [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]


@pytest.mark.parametrize("name", ["all.csv", "all.jsonl", "all.parquet"])
@pytest.mark.usefixtures("judged_in_this_process")
def test_a_damaged_picture_whose_name_is_no_text_is_a_row_too(bundle: Path, tmp_path: Path, name: str) -> None:
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    (tmp_path / "odd").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path / "odd") + b"/\xfc.png")).write_bytes(b"junk")
    rejudge(bundle, [tmp_path / "odd"], tmp_path / name, Crew(1))
    if name == "all.csv":
        (row,) = csv.DictReader((tmp_path / name).read_text(encoding="utf-8").splitlines())
        assert row["reason"].startswith(f"{row['file']}: not a whole picture")
        assert row["file"].endswith("/odd/\\udcfc.png")


def test_a_picture_that_kills_is_named_and_the_others_are_judged(bundle: Path, deadly: Path, tmp_path: Path) -> None:
    told = rejudge(bundle, [deadly], tmp_path / "all.jsonl", Crew(1), shard_pictures=4)
    assert told.verdicts == {"OK": 30, "NotOK": 9, "NotDecidable": 2}
    (killer,) = [row for row in rows_of(tmp_path / "all.jsonl") if "ended the process" in row["reason"]]
    assert killer["file"] == str(deadly / "00017-deadly.png")
    assert killer["reason"] == f"{killer['file']}: ended the process that judged it (signal SIGSEGV)"
    assert (killer["score"], killer["tile_3_3"]) == (None, None)


@pytest.mark.long
def test_where_every_picture_kills_it_is_not_the_pictures(
    bundle: Path, deadly: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("archive.shard_judge.MOST_IN_A_ROW", 1)
    judge = ShardJudge(bundle, 9)
    try:
        with pytest.raises(BackendError, match=r"2 pictures in a row.*look at this machine"):
            judge.judge([str(deadly / "00017-deadly.png")] * 2)
    finally:
        judge.close()


def test_a_judge_that_is_ended_while_its_process_starts_ends_it(
    bundle: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge, start, started = ShardJudge(bundle, 9), subprocess.Popen, []

    def ended_meanwhile(*command: Any, **options: Any) -> subprocess.Popen[bytes]:
        judge.close()
        started.append(start(*command, **options))
        return started[0]

    monkeypatch.setattr(subprocess, "Popen", ended_meanwhile)
    try:
        with pytest.raises(BackendError, match="ended"):
            judge.judge([str(pictures / "00001.png")])
        assert started[0].poll() == -signal.SIGKILL
    finally:
        judge.close()


def test_killed_and_started_again_it_goes_on_where_it_was(bundle: Path, pictures: Path, tmp_path: Path) -> None:
    output = tmp_path / "all.jsonl"
    program = (
        "import sys; from pathlib import Path; from archive.rejudging import Crew, rejudge\n"
        f"rejudge(Path({str(bundle)!r}), [Path({str(pictures)!r})], Path({str(output)!r}), Crew(1), 1)\n"
    )
    work = tmp_path / "all.jsonl.work"
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT) as process:
        try:
            wait_until(lambda: len([*work.glob("shard-*.jsonl")]) >= 3)
        finally:
            process.kill()
    process.wait(WAIT_S)
    assert not output.exists()
    done = {file: file.stat().st_mtime_ns for file in work.glob("shard-*.jsonl")}
    plan = make_plan(bundle, [pictures], work, 1)
    assert len(plan.missing()) == 40 - len(done)
    # What came meanwhile, or another bundle, would be another archive.
    with pytest.raises(ConfigError, match="unfinished work of another bundle"):
        make_plan(write_bundle(tmp_path / "other", grey=100), [pictures], work, 1)
    kept = {file: file.read_bytes() for file in done}
    told = rejudge(bundle, [pictures], output, Crew(2), 1)
    assert told.verdicts.total() == 40
    assert all(content.decode() in output.read_text() for content in kept.values())


@pytest.mark.usefixtures("judged_in_this_process")
def test_killed_after_the_results_stand_it_tells_of_them_again_and_clears_up(
    bundle: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_work: Path) -> None:
        raise KeyboardInterrupt

    for name, judge in (
        ("all.csv", lambda output: rejudge(bundle, [pictures], output, Crew(1), 16)),
        ("changes.csv", lambda output: changes(bundle, bundle, [pictures], output, Crew(1))),
    ):
        output, work = tmp_path / name, tmp_path / f"{name}.work"
        with monkeypatch.context() as patched:
            patched.setattr("archive.rejudging.clear", killed)
            patched.setattr("archive.changes.clear", killed)
            with pytest.raises(KeyboardInterrupt):
                judge(output)
        written = output.read_text()
        told = judge(output)
        assert (told.verdicts if isinstance(told, Rejudged) else told.pairs).total() == 40
        assert output.read_text() == written
        assert not work.exists()
        with pytest.raises(ConfigError, match="exists"):
            judge(output)


@pytest.mark.usefixtures("judged_in_this_process")
def test_a_file_that_somebody_put_in_the_place_of_unfinished_results_is_left(
    bundle: Path, pictures: Path, tmp_path: Path
) -> None:
    output = tmp_path / "all.csv"
    judge_missing(make_plan(bundle, [pictures], tmp_path / "all.csv.work", 16), Crew(1), "judging")
    output.write_text("mine")
    with pytest.raises(ConfigError, match="exists"):
        rejudge(bundle, [pictures], output, Crew(1), 16)
    assert output.read_text() == "mine"


def test_what_cannot_be_used_is_told_before_the_work(bundle: Path, pictures: Path, tmp_path: Path) -> None:
    for output, match in (("all.xlsx", "name it"), ("no/all.csv", "no folder")):
        with pytest.raises(ConfigError, match=match):
            rejudge(bundle, [pictures], tmp_path / output, Crew(1))
    (tmp_path / "there.csv").touch()
    with pytest.raises(ConfigError, match="exists"):
        rejudge(bundle, [pictures], tmp_path / "there.csv", Crew(1))
    with pytest.raises(DataError, match="no such folder"):
        rejudge(bundle, [tmp_path / "absent"], tmp_path / "all.csv", Crew(1))
    (tmp_path / "ring").symlink_to("ring")
    with pytest.raises(DataError, match="no such folder"):
        rejudge(bundle, [tmp_path / "ring"], tmp_path / "all.csv", Crew(1))
    with pytest.raises(ArtifactError):
        rejudge(pictures, [pictures], tmp_path / "all.csv", Crew(1))


@pytest.mark.ray
def test_ray_gives_the_same_rows_and_names_the_killer_too(
    bundle: Path, deadly: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for name, crew in (("here.jsonl", Crew(2)), ("ray.jsonl", Crew(2, on_ray=True))):
        rejudge(bundle, [deadly], tmp_path / name, crew, shard_pictures=8)
    assert rows_of(tmp_path / "ray.jsonl") == rows_of(tmp_path / "here.jsonl")


@pytest.mark.ray
def test_a_worker_of_ray_that_is_killed_loses_no_row_and_doubles_none(
    bundle: Path, pictures: Path, tmp_path: Path, ray_here: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", ray_here)
    work, killed = tmp_path / "all.jsonl.work", []

    def kill() -> None:
        wait_until(lambda: any(work.glob("shard-*.jsonl")))
        killed.append(below(os.getpid(), "^ray::.*_Actor")[0])
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    told = rejudge(bundle, [pictures], tmp_path / "all.jsonl", Crew(2, on_ray=True, gpus=0.5), shard_pictures=1)
    killer.join(WAIT_S)
    assert len(killed) == 1
    assert told.verdicts == {"OK": 30, "NotOK": 9, "NotDecidable": 1}
    assert [row["file"] for row in rows_of(tmp_path / "all.jsonl")] == sorted(map(str, pictures.iterdir()))


@pytest.mark.ray
def test_a_worker_of_ray_that_dies_as_it_starts_is_replaced(
    bundle: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    marks = str(tmp_path)

    class Unlucky(workers._Actor):
        def __init__(self, bundle: str, tiles: int) -> None:
            mark = Path(marks) / "died"
            if not mark.exists():
                mark.touch()
                raise RuntimeError("dead before it began")
            super().__init__(bundle, tiles)

    monkeypatch.setattr(workers, "_Actor", Unlucky)
    told = rejudge(bundle, [pictures], tmp_path / "all.jsonl", Crew(1, on_ray=True), shard_pictures=20)
    assert (tmp_path / "died").exists()
    assert told.verdicts.total() == 40


def test_a_judge_whose_command_was_killed_ends_without_a_word(bundle: Path, pictures: Path) -> None:
    ours, theirs = socket.socketpair()
    program = "import sys; from archive.shard_judge import serve; serve(int(sys.argv[1]), sys.argv[2])"
    with theirs:
        command = [sys.executable, "-c", program, str(theirs.fileno()), str(bundle)]
        judge = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, pass_fds=[theirs.fileno()])
    with Connection(ours.detach()) as line:
        line.send([str(picture) for picture in pictures.iterdir()])
    _, told = judge.communicate(timeout=WAIT_S)
    assert (judge.returncode, told) == (0, "")
