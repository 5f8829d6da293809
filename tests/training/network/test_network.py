import pytest
import torch

from core.config import parse_settings
from core.errors import ConfigError
from training.detector.inspector import Inspector
from training.network.network import Network
from training.network.tiles import permutation_set, split
from training.settings import NetworkSettings, ScoreSettings, TrainingSettings

PIXELS_TRAINED_THROUGH = {
    "network": {"encoder": {"frozen": False, "whole": False}},
    "loss": {"cosine": 0},
    "score": {"space": "pixels", "distance": "squared", "memory": 0},
}
PIXELS = {"space": "pixels", "distance": "squared", "worst_share": 1.0, "memory": 0}


def tiny(**changes: object) -> dict[str, object]:
    encoder = {"name": "tiny", "stages": [1, 2], "stride": 8, "weights": None, "frozen": False, "whole": False}
    return encoder | changes


def make_network(members: int = 1, **changes: object) -> Network:
    settings = {
        "height": 48,
        "width": 48,
        "tile_scale": 1.0,
        "equalise": False,
        "encoder": tiny(),
        "latent_channels": 4,
        "decoder_channels": 16,
        "permutations": 10,
    }
    network_settings = NetworkSettings.model_validate(settings | changes)
    return Network(network_settings, permutation_set(network_settings.grid**2, 10, 0), members)


@pytest.mark.parametrize(
    ("height", "width", "grid"), [(48, 48, 3), (300, 300, 3), (300, 1008, 3), (64, 64, 4), (40, 20, 1)]
)
def test_any_size_divisible_by_the_grid_is_rebuilt_whole(height: int, width: int, grid: int) -> None:
    network = make_network(height=height, width=width, grid=grid).eval()
    with torch.inference_mode():
        rebuilt = network(network.maps(torch.rand(2, 3, height, width)))
    assert rebuilt.pixels.shape == (2, 3, height, width)
    assert rebuilt.latents.shape[:3] == (2, grid * grid, 4)
    assert 0 <= rebuilt.pixels.min() <= rebuilt.pixels.max() <= 1


def test_a_variational_network_draws_latents_while_training_and_not_after() -> None:
    network = make_network(variational=True)
    features = network.maps(torch.rand(2, 3, 48, 48)).detach()
    network.train()
    one, other = network(features), network(features)
    assert torch.equal(one.latents, other.latents)
    assert not torch.equal(one.pixels, other.pixels)
    network.eval()
    assert torch.equal(network(features).pixels, network(features).pixels)
    assert one.log_variances is not None
    assert one.log_variances.shape == one.latents.shape == (2, 9, 4, 2, 2)


def test_the_encoder_is_context_free() -> None:
    network = make_network().eval()
    image = torch.rand(1, 3, 48, 48)
    other = image.clone()
    other[:, :, 16:, :] = 0
    with torch.inference_mode():
        assert torch.equal(network.maps(image)[:, :, :2], network.maps(other)[:, :, :2])


def test_the_decoder_sees_the_tiles_in_their_places_and_the_jigsaw_head_sees_them_shuffled() -> None:
    network = make_network().eval()
    features = network.maps(torch.rand(3, 3, 48, 48)).detach()
    with torch.inference_mode():
        whole, shuffled = (network(features, torch.tensor(puzzle)) for puzzle in ([0, 0, 0], [0, 4, 7]))
    assert torch.allclose(whole.latents, shuffled.latents, atol=1e-6)
    assert torch.allclose(whole.pixels, shuffled.pixels, atol=1e-5)
    assert torch.allclose(whole.logits[0], shuffled.logits[0], atol=1e-5)
    assert not torch.allclose(whole.logits[1], shuffled.logits[1], atol=1e-3)


def test_errors_are_the_mean_squares_of_image_and_tiles() -> None:
    inspector = Inspector(make_network(), ScoreSettings.model_validate(PIXELS))
    frames = torch.randint(0, 255, (3, 48, 48, 3), dtype=torch.uint8)
    with torch.inference_mode():
        inspection = inspector.inspect(frames)
        squared = (inspection.pixels - inspector.network.images(frames)).square()
    assert torch.allclose(inspection.errors[:, 0], squared.mean(dim=(1, 2, 3)), rtol=1e-4)
    assert torch.allclose(inspection.errors[:, 1:], split(squared, 3).mean(dim=(2, 3, 4)), rtol=1e-4)


def test_frames_become_rgb_in_0_to_1() -> None:
    frame = torch.zeros(1, 2, 2, 3, dtype=torch.uint8)
    frame[..., 2] = 255
    assert torch.equal(make_network().images(frame)[0, :, 0, 0], torch.tensor([1.0, 0.0, 0.0]))


def test_equalised_images_do_not_follow_the_lamp() -> None:
    network = make_network(equalise=True)
    frames = torch.randint(60, 120, (2, 48, 48, 3), dtype=torch.uint8)
    brighter = (frames.float() * 1.7 + 20).round().to(torch.uint8)
    assert torch.allclose(network.images(frames), network.images(brighter), atol=0.06)
    assert network.images(frames).mean().item() == pytest.approx(0.45, abs=1e-3)


@pytest.mark.parametrize("equalise", [True, False])
def test_a_reconstruction_is_shown_as_bright_as_its_frame(equalise: bool) -> None:
    network = make_network(equalise=equalise)
    frames = torch.randint(0, 255, (2, 48, 48, 3), dtype=torch.uint8)
    rgb = frames.permute(0, 3, 1, 2).flip(1) / 255
    assert torch.allclose(network.as_filmed(network.images(frames), frames), rgb, atol=1e-5)


def test_an_image_is_judged_the_same_in_any_batch() -> None:
    inspector = Inspector(make_network(), ScoreSettings.model_validate(PIXELS | {"worst_share": 0.2}))
    frames = torch.randint(0, 255, (4, 48, 48, 3), dtype=torch.uint8)
    with torch.inference_mode():
        together = inspector(frames)[0]
        alone = torch.cat([inspector(frame[None])[0] for frame in frames])
    assert torch.allclose(together, alone, rtol=1e-4)


def test_a_share_of_the_worst_places_makes_a_tiles_error() -> None:
    plain, worst = (
        Inspector(make_network(), ScoreSettings.model_validate(PIXELS | {"worst_share": share})) for share in (1.0, 0.1)
    )
    worst.network = plain.network
    frames = torch.randint(0, 255, (2, 48, 48, 3), dtype=torch.uint8)
    with torch.inference_mode():
        errors, error_map = worst(frames)
        means = plain(frames)[0]
    places = split(error_map[:, None], 3).flatten(2)
    assert torch.allclose(errors[:, 1:], places.sort(dim=2).values[:, :, -26:].mean(dim=2), rtol=1e-4)
    assert (errors > means).all()


@torch.inference_mode()
def test_the_whole_picture_is_seen_beside_its_tiles_and_rebuilt_from_their_latents_alone() -> None:
    network = make_network(encoder=tiny(frozen=True, whole=True), tile_scale=0.5).eval()
    image = torch.rand(1, 3, 48, 48)
    maps = network.maps(image)
    tiles, whole = maps.chunk(2, dim=1)
    assert tiles.shape == whole.shape == (1, 24, 3, 3)
    assert not torch.allclose(tiles, whole)
    other = maps.clone()
    other[:, 24:] = 0
    assert torch.equal(network(maps).features, network(other).features)
    assert network(maps).features.shape == maps.shape


@torch.inference_mode()
def test_where_tiles_have_stages_of_their_own_the_whole_picture_alone_is_judged() -> None:
    network = make_network(encoder=tiny(frozen=True, tile_stages=[1], whole=True), tile_scale=0.5).eval()
    image = torch.rand(1, 3, 48, 48)
    maps = network.maps(image)
    both = make_network(encoder=tiny(frozen=True, whole=True), tile_scale=0.5).eval()
    both.encoder = network.encoder
    assert network.map_size == both.map_size
    assert torch.equal(network.judged(maps), both.maps(image)[:, 24:])
    other = maps.clone()
    other[:, 8:] = 0
    assert torch.equal(network(maps).features, network(other).features)
    assert network(maps).features.shape == network.judged(maps).shape == (1, 24, 3, 3)


@torch.inference_mode()
def test_the_members_together_are_the_detector() -> None:
    network = make_network(members=2, encoder=tiny(frozen=True)).eval()
    content = {"space": "features", "distance": "squared", "worst_share": 1.0, "memory": 0}
    inspector = Inspector(network, ScoreSettings.model_validate(content))
    frames = torch.randint(0, 255, (3, 48, 48, 3), dtype=torch.uint8)
    images = network.images(frames)
    maps = network.maps(images)
    alone = [inspector.errors(inspector.distances(images, maps, member))[0] for member in (0, 1)]
    assert not torch.allclose(alone[0], alone[1])
    assert torch.allclose(inspector(frames)[0], (alone[0] + alone[1]) / 2, rtol=1e-4)


@torch.inference_mode()
def test_neither_the_tiles_nor_the_whole_picture_drowns_the_other() -> None:
    network = make_network(encoder=tiny(frozen=True, whole=True))
    inspector = Inspector(network, ScoreSettings(worst_share=1.0, memory=0))
    distances = torch.rand(2, 4, 12, 12) + 0.1
    louder = distances.clone()
    louder[:, 2:] *= 100
    assert torch.allclose(inspector.errors(louder)[0], 10 * inspector.errors(distances)[0], rtol=1e-4)


def test_a_frozen_encoder_stays_in_evaluation_mode() -> None:
    network = make_network(encoder=tiny(stages=[1], stride=4, frozen=True)).train()
    assert not network.encoder.training
    assert network.members[0].training
    assert network.maps(torch.rand(2, 3, 48, 48)).shape == (2, 8, 12, 12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": {"height": 100}}, "divisible by grid 3"),
        ({"network": {"variational": True}}, "go together"),
        ({"batch_size": 1}, "`batch_size`: it is 1; 2 or more is needed"),
        ({"network": {"encoder": {"whole": False, "tile_stages": [3]}}}, "`tile_stages` needs `whole: true`"),
        ({"network": {"encoder": {"name": "resnet18", "stages": [3], "tile_stages": [5]}}}, "has stages 1 to 4"),
        ({"network": {"encoder": {"frozen": False}}}, "`whole: true` needs `frozen: true`"),
        ({"network": {"encoder": {"frozen": False, "whole": False}}, "folds": 1}, "errors on features need"),
        (PIXELS_TRAINED_THROUGH, "with a trained encoder: `folds: 1`"),
        ({"score": {"memory": 100_000}}, "10000 or less is needed"),
        ({"score": {"memory": 3}}, "`score.memory: 3` is less than one place for each of 4 `folds`"),
        (PIXELS_TRAINED_THROUGH | {"folds": 1, "score": {"space": "pixels", "distance": "squared"}}, "{memory: 0}"),
        ({"network": {"encoder": {"nmae": "tiny"}}}, "did you mean `name`"),
        ({"lr": 1}, "unknown key `lr`"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_settings({"name": "a", "data": "b", "output": "c"} | changes, TrainingSettings, "a.yaml")
