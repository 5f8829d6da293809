import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.stats import t as student_t
from scipy.stats import wasserstein_distance

from training.fitting.losses import (
    hsic_bottleneck,
    jigsaw,
    kullback_leibler,
    nhsic,
    sliced_wasserstein,
    stressing_worst,
    student_t_prior,
)


def textbook_nhsic(x: np.ndarray, y: np.ndarray, epsilon: float = 1e-5) -> float:
    """Eq. 8's centred kernels in Eq. 14, by explicit centring matrix and inverse, in float64."""

    def normalised(values: np.ndarray) -> np.ndarray:
        m = len(values)
        squared = ((values[:, None] - values[None]) ** 2).sum(axis=2)
        # torch's median of an even count is the lower middle value.
        sigma2 = np.sort(squared[~np.eye(m, dtype=bool)])[(m * (m - 1) - 1) // 2]
        centring = np.eye(m) - 1 / m
        kernel = centring @ np.exp(-squared / (2 * sigma2)) @ centring
        return kernel @ np.linalg.inv(kernel + epsilon * m * np.eye(m))

    return float(np.trace(normalised(x) @ normalised(y)))


def test_prior_has_the_moments_of_students_t_at_location_k() -> None:
    torch.manual_seed(0)
    samples = student_t_prior(torch.Size((40_000, 4, 2))).numpy()
    for k in range(4):
        reference = student_t(df=5, loc=k + 1, scale=1)
        flat = samples[:, k].ravel()
        assert flat.mean() == pytest.approx(reference.mean(), abs=0.02)
        assert flat.var() == pytest.approx(reference.var(), rel=0.08)
        assert np.quantile(flat, [0.05, 0.5, 0.95]) == pytest.approx(reference.ppf([0.05, 0.5, 0.95]), abs=0.05)


def test_prior_is_fresh_every_time() -> None:
    assert not torch.equal(student_t_prior(torch.Size((2, 2, 2))), student_t_prior(torch.Size((2, 2, 2))))


def test_one_dimensional_swd_is_the_squared_transport_of_sorted_samples() -> None:
    x, y = torch.randn(200, 1, 1), torch.randn(200, 1, 1) * 2 + 1
    by_hand = ((np.sort(x.numpy().ravel()) - np.sort(y.numpy().ravel())) ** 2).mean()
    assert sliced_wasserstein(x, y, 7).item() == pytest.approx(by_hand, rel=1e-5)
    # Eq. 17 by its definition: the cheapest of all assignments.
    cost = (x.numpy().ravel()[:, None] - y.numpy().ravel()[None]) ** 2
    assert by_hand == pytest.approx(cost[linear_sum_assignment(cost)].mean(), rel=1e-5)
    # W_1 bounds W_2 from below.
    assert by_hand >= wasserstein_distance(x.numpy().ravel(), y.numpy().ravel()) ** 2


@given(st.floats(-3, 3), st.integers(1, 4))
@settings(max_examples=10, deadline=None)
def test_swd_of_a_shift_is_its_squared_length_over_the_dimension(shift: float, tiles: int) -> None:
    d = 6
    z = torch.randn(32, tiles, d)
    v = torch.zeros(d)
    v[0] = shift
    expected = tiles * shift**2 / d  # the mean of (v . theta)^2 over the sphere, summed over tiles
    assert sliced_wasserstein(z, z + v, 5_000).item() == pytest.approx(expected, rel=0.1, abs=1e-4)


def test_swd_is_zero_for_the_same_samples_in_any_order_and_sums_over_tiles() -> None:
    z = torch.randn(16, 3, 5)
    assert sliced_wasserstein(z, z[torch.randperm(16)], 10).item() == pytest.approx(0, abs=1e-9)
    far = z + 2
    torch.manual_seed(1)
    whole = sliced_wasserstein(z, far, 50)
    torch.manual_seed(1)
    one = sliced_wasserstein(z[:, :1], far[:, :1], 50)
    assert whole.item() == pytest.approx(3 * one.item(), rel=1e-4)


def test_nhsic_equals_the_textbook_form() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 5)), rng.normal(size=(12, 3))
    ours = nhsic(torch.from_numpy(x), torch.from_numpy(y), epsilon=1e-3).item()
    assert ours == pytest.approx(textbook_nhsic(x, y, 1e-3), rel=1e-3)


def test_nhsic_is_symmetric_and_blind_to_shift_scale_rotation_and_order() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(20, 4), torch.randn(20, 4)
    rotation = torch.linalg.qr(torch.randn(4, 4)).Q
    order = torch.randperm(20)
    reference = nhsic(x, y, 1e-3).item()
    assert nhsic(y, x, 1e-3).item() == pytest.approx(reference, rel=1e-3)
    assert nhsic(5 * x @ rotation + 3, y, 1e-3).item() == pytest.approx(reference, rel=1e-2)
    assert nhsic(x[order], y[order], 1e-3).item() == pytest.approx(reference, rel=1e-3)


def test_nhsic_tells_dependence_from_independence() -> None:
    torch.manual_seed(0)
    x, noise = torch.randn(256, 1), torch.randn(256, 1)
    dependent, independent = nhsic(x, x.square(), 1e-2).item(), nhsic(x, noise, 1e-2).item()
    assert independent < 0.1 < 0.5 < dependent


def test_a_bandwidth_that_is_set_replaces_the_median() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(12, 3), torch.randn(12, 3)
    median = float(torch.cdist(x, x).square()[~torch.eye(12, dtype=torch.bool)].median().sqrt())
    assert nhsic(x, x, 1e-2, median).item() == pytest.approx(nhsic(x, x, 1e-2).item(), rel=1e-4)
    assert nhsic(x, y, 1e-2, 10 * median).item() != pytest.approx(nhsic(x, y, 1e-2).item(), rel=1e-2)


def test_a_tiny_regulariser_makes_the_term_blind_in_a_small_batch() -> None:
    torch.manual_seed(0)
    x, other = torch.randn(8, 3), torch.randn(8, 3)

    def gap(epsilon: float) -> float:
        return nhsic(x, x, epsilon).item() / nhsic(x, other, epsilon).item() - 1

    assert nhsic(x, other, 1e-5).item() == pytest.approx(7, abs=0.1)
    assert gap(1e-5) < 0.01
    assert gap(1e-2) > 0.05


def test_bottleneck_weighs_input_dependence_with_beta() -> None:
    torch.manual_seed(0)
    x, z, prior = torch.randn(8, 5), torch.randn(8, 4), torch.randn(8, 4)
    expected = nhsic(prior, z, 1e-2) - 0.1 * nhsic(x, z, 1e-2)
    assert hsic_bottleneck(x, z, prior, beta=0.1, epsilon=1e-2).item() == pytest.approx(expected.item(), rel=1e-5)


def test_kullback_leibler_is_torchs_closed_form() -> None:
    means, log_variances = torch.randn(5, 3, 4), torch.randn(5, 3, 4)
    drawn = torch.distributions.Normal(means, (log_variances / 2).exp())
    reference = torch.distributions.kl_divergence(drawn, torch.distributions.Normal(0.0, 1.0)).sum(dim=(1, 2)).mean()
    assert kullback_leibler(means, log_variances).item() == pytest.approx(reference.item(), rel=1e-5)


def test_jigsaw_is_the_negative_log_likelihood_of_the_right_permutation() -> None:
    logits = torch.randn(5, 7)
    truth = torch.tensor([0, 6, 3, 3, 1])
    by_hand = -np.log(np.exp(logits.numpy())[np.arange(5), truth] / np.exp(logits.numpy()).sum(1)).mean()
    assert jigsaw(logits, truth).item() == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_gradients_stay_finite_in_mixed_precision(dtype: torch.dtype) -> None:
    z = (torch.randn(6, 9, 32) * 30).to(dtype).requires_grad_()
    prior = student_t_prior(z.shape)
    x = torch.rand(6, 3000).to(dtype)
    loss = sliced_wasserstein(z, prior, 16) + hsic_bottleneck(x, z.flatten(1), prior.flatten(1), beta=0.1, epsilon=1e-2)
    loss.backward()
    assert torch.isfinite(loss)
    assert z.grad is not None
    assert torch.isfinite(z.grad).all()


@pytest.mark.parametrize("term", ["swd", "hsic"])
def test_autocast_changes_neither_the_terms_nor_their_gradients(term: str) -> None:
    torch.manual_seed(0)
    latents, images = torch.randn(8, 9, 32), torch.rand(8, 3000)
    prior = student_t_prior(latents.shape)

    def value_and_gradient(autocast: bool) -> tuple[torch.Tensor, torch.Tensor]:
        torch.manual_seed(1)  # the same directions
        z = latents.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            if term == "swd":
                loss = sliced_wasserstein(z, prior, 16)
            else:
                loss = hsic_bottleneck(images, z.flatten(1), prior.flatten(1), beta=0.1, epsilon=1e-2)
        loss.backward()
        assert z.grad is not None
        return loss.detach(), z.grad

    for ours, reference in zip(value_and_gradient(True), value_and_gradient(False), strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-6, atol=1e-8)


def test_gradients_stay_finite_when_all_latents_are_equal() -> None:
    z = torch.ones(4, 9, 8, requires_grad=True)
    prior = student_t_prior(z.shape)
    (
        sliced_wasserstein(z, prior, 8)
        + hsic_bottleneck(torch.rand(4, 9), z.flatten(1), prior.flatten(1), beta=0.1, epsilon=1e-2)
    ).backward()
    assert z.grad is not None
    assert torch.isfinite(z.grad).all()


def test_half_of_the_loss_is_over_the_worst_places_of_each_stage_over_all_images() -> None:
    distances = torch.zeros(2, 2, 5, 10)
    distances[1, 0, 2, 3], distances[1, 0, 4, 4] = 0.4, 0.2
    distances[0, 1] = 0.1
    worst = (0.3 + 0.1) / 2
    assert stressing_worst(distances, 0.02).item() == pytest.approx((distances.mean().item() + worst) / 2)


def test_the_worst_share_1_leaves_the_plain_mean() -> None:
    distances = torch.rand(3, 2, 4, 4)
    assert stressing_worst(distances, 1.0).item() == pytest.approx(distances.mean().item())
