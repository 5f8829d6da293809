"""Long work says how much of the whole is done, and what time the rest will take."""

import pytest

from core.progress import Countdown


def test_what_was_done_before_counts_for_the_share_and_not_for_the_time(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 0.0
    monkeypatch.setattr("core.progress.time.monotonic", lambda: now_s)
    with Countdown("training", 20) as countdown:
        countdown.skip(10)
        for _ in range(10):
            now_s += 3
            countdown.advance()
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "training: 50 %, about 27 s left"
    assert told[1] == "training: 60 %, about 24 s left"
    assert told[-1] == "training: 100 %"
