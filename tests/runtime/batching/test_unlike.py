"""What differs from all that trained is judged, and told once."""

import threading
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from core.pictures.unlike import REMEDIES
from runtime.batching.batcher import Batcher
from runtime.batching.feed import Feed
from runtime.batching.unlike import COLOUR_EVERY
from runtime.cameras.camera import Camera
from runtime.parts.frame import Frame
from runtime.parts.moment import Moment
from runtime.parts.verdict import Reason
from tests.runtime.batching.test_feed import SEEN, WAIT_S, Changing, camera_settings, seeing


def test_pictures_of_a_shape_that_none_had_that_trained_are_told_once_and_judged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    batcher = Batcher({None: [np.zeros((8, 8, 8, 3), np.uint8)]}, 0.0, 1)
    regions = camera_settings(regions={"whole": [0, 0, 60, 30], "square": [0, 0, 30, 30]})
    feed = Feed("top", Changing(30, 30, 30), regions, batcher, seeing(replace(SEEN, aspects=(0.96,))))
    feed.start()
    feed.join(WAIT_S)
    batch = batcher.take(WAIT_S)
    assert batch is not None
    assert [part.faults for part in batch.written] == [()] * 6
    words = "2 times as wide as high, and what trained 0.96"
    assert feed.unlike.words() == {"top-whole": f"are squeezed, {words}; {REMEDIES['other_shape']}"}
    (told,) = caplog.messages
    assert told.startswith("pictures are squeezed camera=top-whole reason='2 times as wide as high, and what trained ")


@pytest.mark.parametrize("dark", [0, COLOUR_EVERY])
def test_a_camera_that_turns_grey_is_told_once_and_dark_frames_are_not(
    dark: int, caplog: pytest.LogCaptureFixture
) -> None:
    colours = [(20, 30, 90)] * COLOUR_EVERY + [(0, 0, 0)] * dark + [(90, 90, 90)] * 3 * COLOUR_EVERY

    class Evening(Camera):
        frames_total = None

        def frames(self, stopping: threading.Event) -> Iterator[Frame]:
            for colour in colours:
                yield Frame(np.full((8, 8, 3), colour, np.uint8), Moment(1.0, 2.0))
                told.append(len(caplog.messages))

    told: list[int] = []
    batcher = Batcher({None: [np.zeros((len(colours), 8, 8, 3), np.uint8)]}, 60.0, 1)
    feed = Feed("top", Evening(), camera_settings(), batcher, seeing(replace(SEEN, colours=("coloured",))))
    feed.start()
    feed.join(WAIT_S)
    assert told == [0] * (COLOUR_EVERY + dark) + [1] * 3 * COLOUR_EVERY
    (words,) = caplog.messages
    assert words.startswith("pictures differ in colour camera=top reason='grey, and what trained coloured' remedy='set")
    batch = batcher.take(WAIT_S)
    assert batch is not None
    assert all(part.faults in ((), (Reason.BLACK,)) for part in batch.written), "they are judged"
