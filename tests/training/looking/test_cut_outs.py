"""The sheet of cut-outs."""

from pathlib import Path

import numpy as np

from core.pictures.geometry import Pose
from tests.pictures import remark_good, write_picture
from training.looking.cut_outs import draw_cut_outs
from training.looking.survey import survey


def test_a_region_is_not_cut_again_out_of_what_a_model_cut(tmp_path: Path) -> None:
    picture = np.full((30, 60, 3), 200, np.uint8)
    picture[10:20, 15:45] = 20
    write_picture(tmp_path / "train/good/0.png", picture)
    remark_good(tmp_path, "train/good/0.png")
    roi = (100, 100, 60, 30)
    figure = draw_cut_outs(survey(str(tmp_path), roi).good, Pose((40, 20)), roi)
    assert figure.axes[0].get_title() == "0.png"
