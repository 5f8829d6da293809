"""The judge of shards: a process of its own with the bundle open, since a picture may kill whoever reads it.

What is under way when it dies is halved until one picture is left that kills by itself; that one is named, and the
others are judged.
"""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import BackendError, PwaeError, one_line

if TYPE_CHECKING:
    from assessment.prediction import Prediction

CHUNK = 16
"""Pictures that the process holds at once."""
TRIES = 2
"""A picture that is alone kills so many processes before it is blamed: one may have died of something else."""
MOST_IN_A_ROW = 10
"""Pictures that killed one after another, none judged between them: then it is not the pictures."""
ENDED_S = 5.0


class _PictureError(Exception):
    """What went wrong with a picture, or one of several, in words."""


class ShardJudge:
    """Owns the process; for one thread, except for `close`."""

    def __init__(self, bundle: Path, tiles: int) -> None:
        """Start nothing yet; `tiles` are the bundle's K."""
        self._bundle = bundle
        self._tiles = tiles
        self._is_closed = False
        self._in_a_row = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._line: Connection | None = None

    def judge(self, pictures: Sequence[str]) -> str:
        """Give a row a picture as JSON lines, in order.

        Raises ArtifactError or BackendError where the bundle cannot be opened here, BackendError where processes die
        whatever they are given.
        """
        return "".join(self._judge(pictures[at : at + CHUNK]) for at in range(0, len(pictures), CHUNK))

    def _judge(self, pictures: Sequence[str]) -> str:
        tries = 1 if len(pictures) > 1 else TRIES
        fault = ""
        for _ in range(tries):
            try:
                answer = self._ask(pictures)
            except _PictureError as error:
                fault = str(error)
            else:
                self._in_a_row = 0
                return answer
        if len(pictures) > 1:
            half = len(pictures) // 2
            return self._judge(pictures[:half]) + self._judge(pictures[half:])
        self._in_a_row += 1
        if self._in_a_row > MOST_IN_A_ROW:
            raise BackendError(
                f"{self._in_a_row} pictures in a row, the last {pictures[0]}, {fault}: look at this machine (memory?)."
            )
        from assessment.prediction import Prediction
        from runtime.parts.verdict import Verdict

        picture = Path(pictures[0])
        return rows([Prediction(picture, Verdict.NOT_DECIDABLE.word, None, (), f"{picture}: {fault}")], self._tiles)

    def close(self) -> None:
        """End the process; from any thread, and whoever waits for it gets BackendError."""
        self._is_closed = True
        if self._process is not None:
            self._process.kill()
            self._process.wait(ENDED_S)
        if self._line is not None:
            self._line.close()

    def _ask(self, pictures: Sequence[str]) -> str:
        """Let the process judge. Raises _PictureError of pictures that it ends of, or cannot judge."""
        try:
            line = self._line or self._start()
            line.send(pictures)
            answer: str | PwaeError | _PictureError = line.recv()
        except (EOFError, OSError):
            if self._is_closed:
                raise BackendError("the judging was ended.") from None
            raise _PictureError(f"ended the process that judged it ({self._reap()})") from None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _start(self) -> Connection:
        ours, theirs = socket.socketpair()
        program = "import sys; from archive.shard_judge import serve; serve(int(sys.argv[1]), sys.argv[2])"
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603, ourselves
                [sys.executable, "-c", program, str(theirs.fileno()), str(self._bundle)], pass_fds=[theirs.fileno()]
            )
        self._line = Connection(ours.detach())
        if self._is_closed:  # meanwhile, by a thread that found no process yet
            self.close()
        return self._line

    def _reap(self) -> str:
        process, self._process = self._process, None
        if self._line is not None:
            self._line.close()
            self._line = None
        if process is None:
            return "it did not start"
        code = process.wait(ENDED_S)
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def serve(line_fd: int, bundle: str) -> None:
    """Judge what comes over a socket, in the process of its own, until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started us ends us
    import cv2

    from assessment.model import opened
    from assessment.prediction import judge_files

    cv2.setNumThreads(1)
    with Connection(line_fd) as line, ExitStack() as stack:
        model = None
        while True:
            try:
                pictures = [Path(picture) for picture in line.recv()]
            except (EOFError, ConnectionError):
                return
            answer: str | PwaeError | _PictureError
            try:
                model = model or stack.enter_context(opened(Path(bundle), threads=1))
                answer = rows(judge_files(model, pictures), model.grid**2)
            except PwaeError as error:
                answer = error
            except Exception as error:  # of a picture that nobody foresaw: it is looked for as one that kills
                answer = _PictureError(f"cannot be judged ({one_line(error)})")
            try:
                line.send(answer)
            except ConnectionError:  # whoever asked was killed
                return


def rows(judged: Iterable["Prediction"], tiles: int) -> str:
    """Give a row a picture as JSON lines, in order; `tiles` are the bundle's K."""
    told = [one.row(tiles) for one in judged]
    return "".join(json.dumps({name: value for name, value in row.items() if name != "overlay"}) + "\n" for row in told)
