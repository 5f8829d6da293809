import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from core.placements import placements


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2).filter(lambda p: len({d for _, d in p}) == 2))
def test_the_area_is_scikit_learns(pairs: list[tuple[int, bool]]) -> None:
    ranking, defective = np.array([r for r, _ in pairs], float), np.array([d for _, d in pairs])
    assert placements(ranking, defective).auroc == pytest.approx(roc_auc_score(defective, ranking))
