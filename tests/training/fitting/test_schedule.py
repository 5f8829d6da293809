import pytest
import torch

from training.fitting.schedule import decay, one_cycle


def test_the_papers_decay_goes_by_the_share_of_the_steps() -> None:
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.01)
    schedule = decay(optimiser, 10, 0.75, 100)
    for _ in range(50):
        optimiser.step()
        schedule.step()
    assert schedule.get_last_lr() == pytest.approx([0.01 / (1 + 10 * 0.5) ** 0.75])


@pytest.mark.parametrize("steps", [1, 2, 5, 8, 9, 10, 19, 40])
def test_the_rate_rises_once_and_falls_in_a_training_however_short(steps: int) -> None:
    optimiser = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], 0.002)
    schedule = one_cycle(optimiser, 0.002, steps)
    rates = []
    for _ in range(steps):
        optimiser.step()
        schedule.step()
        rates.append(schedule.get_last_lr()[0])
    assert max(rates) == pytest.approx(0.002, rel=0.02)
    assert rates == [*sorted(rates[: rates.index(max(rates)) + 1]), *sorted(rates[rates.index(max(rates)) + 1 :])[::-1]]
