"""The loss terms of Eq. 20: sliced Wasserstein, HSIC bottleneck, jigsaw. All in float32, without loops over tiles.

Autocast takes matrix products to bfloat16 whatever they are given, so that `.float()` alone does not keep them in
float32: around them it is switched off. Nothing here asks for a value, for which a GPU has to be waited for.

Scale of each term, which the paper leaves open: means over pixels, directions and samples; a sum over tiles (Eq. 18).
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

DEGREES_OF_FREEDOM = 5.0


def student_t_prior(shape: torch.Size, device: torch.device | None = None) -> Tensor:
    """Draw samples (N, K, d) of the priors: tile k = 1..K is Student's t(5) at location k with scale 1 (Eq. 11)."""
    half = DEGREES_OF_FREEDOM / 2
    chi2_over_nu = torch._standard_gamma(torch.full(shape, half, device=device)) / half
    location = torch.arange(1, shape[1] + 1, device=device, dtype=torch.float32)[:, None]
    return location + torch.randn(shape, device=device) * chi2_over_nu.rsqrt()


def sliced_wasserstein(latents: Tensor, prior: Tensor, directions: int) -> Tensor:
    """Sum over tiles of the mean 1-D W_2^2 between projections of (N, K, d) latents and prior samples (Eq. 17, 18).

    `directions` random unit vectors are drawn each time; sorting the N projections solves the 1-D transport.
    """
    with _without_autocast(latents):
        theta = normalize(torch.randn(latents.shape[2], directions, device=latents.device), dim=0)
        difference = (latents.float() @ theta).sort(dim=0).values - (prior.float() @ theta).sort(dim=0).values
        return difference.square().mean(dim=(0, 2)).sum()


def nhsic(x: Tensor, y: Tensor, epsilon: float, bandwidth: float | None = None) -> Tensor:
    """Normalised HSIC of two batches (m, dx) and (m, dy), m >= 2: tr(Kx~ Ky~) with K~ = K (K + eps m I)^-1 (Eq. 14).

    `bandwidth` is the Gaussian kernel's sigma, None for the median heuristic.
    """
    with _without_autocast(x):
        kx, ky = _centred_gaussian_kernel(x.float(), bandwidth), _centred_gaussian_kernel(y.float(), bandwidth)
        ridge = epsilon * len(x) * torch.eye(len(x), device=x.device)
        # K and its regularised inverse commute, so a solve from the left serves.
        return torch.sum(_solve(kx + ridge, kx) * _solve(ky + ridge, ky).T)


def hsic_bottleneck(
    inputs: Tensor, latents: Tensor, prior: Tensor, *, beta: float, epsilon: float, bandwidth: float | None = None
) -> Tensor:
    """nHSIC(Z', Z) - beta nHSIC(X, Z) (Eq. 15) for inputs (m, d), latents and prior samples (m, n)."""
    return nhsic(prior, latents, epsilon, bandwidth) - beta * nhsic(inputs, latents, epsilon, bandwidth)


def kullback_leibler(means: Tensor, log_variances: Tensor) -> Tensor:
    """Divergence from N(means, exp(log_variances)) to N(0, 1): a sum over dimensions, a mean over images (Eq. 3)."""
    means, log_variances = means.float().flatten(1), log_variances.float().flatten(1)
    return (means.square() + log_variances.exp() - 1 - log_variances).sum(dim=1).mean() / 2


def jigsaw(logits: Tensor, permutation: Tensor) -> Tensor:
    """Cross-entropy of the permutation that was used (Eq. 19); logits (N, S), permutation (N,) int64."""
    return cross_entropy(logits.float(), permutation)


def stressing_worst(distances: Tensor, share: float) -> Tensor:
    """Half the mean of distances (N, stages, h, w), half the mean over each stage's worst `share`, all images together.

    A plain mean is ruled by what most good parts look like: a rare kind of good part would never be rebuilt well.
    """
    places = distances.transpose(0, 1).flatten(1)
    worst = places.topk(max(1, round(share * places.shape[1])), dim=1).values
    return (places.mean() + worst.mean()) / 2


def _without_autocast(x: Tensor) -> torch.autocast:
    return torch.autocast(x.device.type, enabled=False)


def _solve(a: Tensor, b: Tensor) -> Tensor:
    """Solve a x = b without asking whether `a` is singular, which a ridge keeps it from."""
    solved: Tensor = torch.linalg.solve_ex(a, b).result
    return solved


def _centred_gaussian_kernel(x: Tensor, bandwidth: float | None) -> Tensor:
    """H K H with K_ij = exp(-|xi - xj|^2 / (2 sigma^2)); sigma^2 the median squared distance, held constant, or set."""
    products = x @ x.T
    lengths = products.diagonal()
    squared = (lengths[:, None] + lengths[None] - 2 * products).clamp_min(0)
    m = len(x)
    # Taken by its shape: what a mask picks has to be counted first.
    off_diagonal = squared.detach().flatten()[1:].view(m - 1, m + 1)[:, :-1]
    sigma2 = off_diagonal.median().clamp_min(1e-12) if bandwidth is None else bandwidth**2
    kernel = torch.exp(-squared / (2 * sigma2))
    return kernel - kernel.mean(0, keepdim=True) - kernel.mean(1, keepdim=True) + kernel.mean()
