"""The configuration of `train-model`: the data, the network, the loss of Eq. 20, the score and the schedule.

The defaults are the recipe of docs/method.md; `configs/paper.yaml` spells out the paper's own form.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from core.config import Settings, expanded
from core.errors import CONTROL
from core.mistaken import CHECKPOINT
from core.pictures.geometry import ModelInput, PartSize, Pose, Roi

EncoderName = Literal["resnet50", "resnet50-v1", "resnet18", "efficientnet-lite0", "tiny"]
Distance = Literal["squared", "cosine"]
SUSPECTS_SHEET = "suspects.png"
"""In the output: a picture of the good parts that stand apart."""


def _in_one_line(text: str) -> str:
    if CONTROL.search(text):
        raise ValueError("one line without control characters is taken")
    return text


Place = Annotated[str, Field(min_length=1), AfterValidator(lambda text: str(expanded(Path(text))))]
"""A path, as text: a checkpoint carries it."""
Text = Annotated[str, Field(min_length=1)]
Title = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(_in_one_line)]
"""As a bundle carries it."""
Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Weight = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]


class EncoderSettings(Settings):
    """The context-free encoder f_phi."""

    name: EncoderName = "efficientnet-lite0"
    stages: Annotated[tuple[Annotated[int, Field(ge=1, le=7)], ...], Field(min_length=1)] = (3, 5, 6, 7)
    """Stages whose maps are stacked, in the network's own numbering: ResNets have 4 (strides 4, 8, 16, 32), Lite0 has 7
    (strides 2, 4, 8, 16, 16, 32, 32). The paper's is the last of a ResNet-50 alone."""
    stride: Count = 16
    """The maps are stacked at this stride of the tile: a latent has ceil(tile side / stride) places a side."""
    tile_stages: Annotated[tuple[Annotated[int, Field(ge=1, le=7)], ...], Field(min_length=1)] | None = None
    """Stages of the tiles' maps, which then only give the latents: the whole picture's maps alone are rebuilt,
    remembered and judged, and the tiles cost little. None: `stages`, and the tiles' maps are judged too."""
    weights: Place | None = "package"
    """A state-dict file with torchvision's names, `package` (efficientnet-lite0), or none: random."""
    frozen: bool = True
    """Keep the pretrained weights: maps are then computed once and cached, and errors may be measured on them."""
    whole: bool = True
    """Encode the whole picture too, at the input's size, averaged to as many places as the tiles' maps have. The
    decoder rebuilds both from the tiles' latents; their errors are joined by a geometric mean. Needs `frozen`."""

    @property
    def of_tiles(self) -> tuple[int, ...]:
        """Stages of the tiles' maps."""
        return self.tile_stages or self.stages

    @model_validator(mode="after")
    def _whole_is_frozen(self) -> "EncoderSettings":
        if self.whole and not self.frozen:
            raise ValueError("`whole: true` needs `frozen: true`: a trained encoder can cheat")
        if self.tile_stages and not self.whole:
            raise ValueError("`tile_stages` needs `whole: true`: the tiles' maps would be all that is judged")
        return self


class NetworkSettings(Settings):
    """Sizes of the network; the input is RGB, `height` x `width`, cut on a `grid` x `grid`."""

    height: Count = 216
    width: Count = 216
    grid: Count = 3
    tile_scale: Annotated[float, Field(gt=0, le=1)] = 2 / 3
    """The tiles are encoded at this share of the input's size, whose whole the encoder may see (`encoder.whole`)."""
    roi: Roi | None = None
    """Region of interest in pixels of the camera's picture: left, top, width, height; all else is cut away. On the line
    it is that of a camera which has neither `roi` nor `regions`. None: the whole picture."""
    part_size: PartSize | None = None
    """Length and breadth of the part in pixels of the camera's picture, and a margin: it is cut out and turned straight
    first, so that it may lie at any angle. None: the whole picture."""
    upright: Annotated[str, Field(min_length=1)] | None = None
    """With `part_size`: a picture of a part that lies as all are to lie. A round or square one is turned until what is
    on it (a print, cores, teeth) is most alike, of a long one it says which end comes left. None: the outline says it,
    by the long axis and the heavier end."""
    bits: Annotated[int, Field(ge=8, le=16)] = 16
    """Of a grey level in picture files that keep 16: 12 where the camera has 12 and 4095 is white. The bundle carries
    it to the line, where files are read alike; live cameras tell theirs."""
    encoder: EncoderSettings = EncoderSettings()
    latent_channels: Count = 32
    decoder_channels: Count = 128
    decoder_depth: Count = 3
    """Blocks at the latent's resolution."""
    permutations: Count = 1000
    variational: bool = False
    """The VAE baseline: latents are drawn from a Gaussian while training, and `loss.kl` pulls it to N(0, 1)."""
    equalise: bool = True
    """Bring each image to one mean and contrast first, so that an ageing lamp is no defect."""

    @property
    def input(self) -> ModelInput:
        """What the network sees of a picture."""
        pose = Pose(self.part_size, self.upright) if self.part_size else None
        return ModelInput(self.height, self.width, pose, self.roi, self.bits)

    @model_validator(mode="after")
    def _fits(self) -> "NetworkSettings":
        if self.encoder.name != "efficientnet-lite0" and max(self.encoder.stages + self.encoder.of_tiles) > 4:
            raise ValueError(f"{self.encoder.name} has stages 1 to 4")
        if self.part_size is not None and not self.part_size[0] >= self.part_size[1] > 0:
            raise ValueError(f"part_size {list(self.part_size)} must be [length, breadth], the length first, above 0")
        if self.upright is not None and self.part_size is None:
            raise ValueError("upright needs part_size, the size of what is cut out and turned")
        if self.height % self.grid or self.width % self.grid:
            raise ValueError(f"height {self.height} and width {self.width} must be divisible by grid {self.grid}")
        if round(min(self.height, self.width) * self.tile_scale / self.grid) < 1:
            raise ValueError(f"tile_scale {self.tile_scale} leaves nothing of a tile")
        return self


class LossSettings(Settings):
    """Weights of Eq. 20; 0 leaves a term out and does not compute it."""

    pixels: Weight = 1.0
    pixels_share: Annotated[float, Field(gt=0, le=1)] = 0.125
    """Share of a batch whose pixels are rebuilt: where features are judged, pixels are only for people to look at."""
    features: Weight = 0.0
    """Mean squared error of the rebuilt maps; needs a frozen encoder."""
    cosine: Weight = 1000.0
    """Mean over stages of 1 - cosine of the rebuilt maps, place by place; needs a frozen encoder. L_AE is
    a sum in the paper: against means over places it weighs thousands of times more than the other terms."""
    worst_share: Annotated[float, Field(gt=0, le=1)] = 0.05
    """Half of the cosine term is the mean over this share of a batch's worst places, so that good parts which are rare
    are learnt too; with 1 the whole term is the mean over all places."""
    hsic: Weight = 0.01
    hsic_beta: Weight = 0.1
    hsic_epsilon: Positive = 0.01
    """Regulariser of the normalised kernels. With 1e-5 and a batch of 8, nHSIC is 7 whatever the latents are."""
    hsic_bandwidth: Positive | None = None
    """Sigma of the Gaussian kernels; none: the median heuristic."""
    swd: Weight = 0.1
    swd_directions: Count = 64
    jigsaw: Weight = 1.0
    kl: Weight = 0.0
    """Kullback-Leibler term of the ELBO (Eq. 3), a sum over a latent's dimensions; needs `network.variational`."""
    shuffled_share: Annotated[float, Field(ge=0, le=1)] = 0.7
    """Share of the training images whose tiles are shuffled."""


class ScoreSettings(Settings):
    """Where and how the error of Eq. 22, 23 is measured."""

    space: Literal["pixels", "features"] = "features"
    """The paper's pixels, or the frozen encoder's maps rebuilt from the same latents."""
    distance: Distance = "cosine"
    """Between a place's vector and the rebuilt one: mean squared difference, or 1 - cosine; per stage, each stage's
    divided by its mean over the training pictures."""
    worst_share: Annotated[float, Field(gt=0, le=1)] = 0.05
    """A tile's error is the mean over this share of its worst places; 1 is the paper's mean over all. The image's error
    is the mean over its tiles."""
    memory: Annotated[int, Field(ge=0, le=10_000)] = 1000
    """How many places of good pictures are kept, of each kind of maps that is judged: a place's error is the
    geometric mean of how badly the decoders rebuild it and how far it is from the nearest place kept. 10,000 take
    twice the time on the line; 0: the decoders alone judge."""


class OptimiserSettings(Settings):
    """SGD with the paper's decay lr0 / (1 + a p)^b over progress p, or AdamW on one cycle up to the rate and down."""

    name: Literal["sgd", "adamw"] = "adamw"
    learning_rate: Positive = 0.002
    momentum: Share = 0.9
    decay_a: Weight = 10.0
    decay_b: Weight = 0.75


class AugmentSettings(Settings):
    """Copies of the training pictures, moved as far as a part is free to lie; none by default."""

    copies: Annotated[int, Field(ge=0)] = 0
    rotate_degrees: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Turned by up to this much either way."""
    flip: bool = False
    """Mirrored about either axis."""

    @model_validator(mode="after")
    def _moves(self) -> "AugmentSettings":
        if bool(self.copies) != bool(self.rotate_degrees or self.flip):
            raise ValueError("`copies` and a movement (`rotate_degrees`, `flip`) go together")
        return self


class TrainingSettings(Settings):
    """All that `train-model` reads."""

    name: Title
    data: Annotated[
        Annotated[Text, Tag("text")] | Annotated[tuple[Text, ...], Field(min_length=1), Tag("list")],
        Discriminator(lambda value: "list" if isinstance(value, (list, tuple)) else "text"),
    ]
    """A folder in MVTec layout, a folder of good pictures, or elpv:mono, elpv:poly; or a list of such, that train
    together: `[pictures/collected, pictures/marked]`. Of two pictures that are the same the first counts."""
    output: Place
    """Folder for the checkpoint, logs and the resume point."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    network: NetworkSettings = NetworkSettings()
    loss: LossSettings = LossSettings()
    score: ScoreSettings = ScoreSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    augment: AugmentSettings = AugmentSettings()
    epochs: Count = 30
    batch_size: Annotated[int, Field(ge=2)] = 8
    """At least 2: SWD and HSIC compare the images of a batch."""
    tensorboard: bool = False
    """Log the losses for TensorBoard too, next to `logs/decoder-<n>/metrics.csv`; needs the package tensorboard."""
    devices: Count | Literal["auto"] = "auto"
    """GPUs, or processes where there is none, that train together; auto: every GPU, or one process."""
    bursts: bool | None = None
    """Whether parts were filmed several times, one picture after the other in the order of the files: with true no
    decoder judges a picture of a part that it trained on. Left out, `init` and training ask where pictures look like
    it."""
    folds: Annotated[int, Field(ge=1, le=20)] = 4
    """How many decoders are trained, each without its share of the good pictures, which it then judges: so every good
    picture sets the thresholds, and none is judged by a decoder that has seen it. Together they are the detector. 1:
    one decoder, and `calibration_share` of the pictures set the thresholds alone. More than 1 needs a frozen
    encoder."""
    calibration_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """With `folds: 1`: share of the good pictures kept out of training to set the thresholds."""
    false_reject_rate: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Share of good parts that may be rejected."""
    believe_all: bool = False
    """Set the thresholds with the odd pictures too, once somebody has looked at them and says that they are good."""

    @property
    def checkpoint(self) -> Path:
        """The file that a training writes at last."""
        return Path(self.output) / CHECKPOINT

    @model_validator(mode="after")
    def _features_need_a_frozen_encoder(self) -> "TrainingSettings":
        if (self.loss.kl > 0) != self.network.variational:
            raise ValueError("`loss.kl` above 0 and `network.variational: true` go together")
        trained_on_features = self.loss.features > 0 or self.loss.cosine > 0
        wants = trained_on_features or self.score.space == "features"
        if wants and not self.network.encoder.frozen:
            raise ValueError("errors on features need `network.encoder.frozen: true`: a trained encoder can cheat")
        if self.folds > 1 and not self.network.encoder.frozen:
            raise ValueError("`folds` above 1 needs `network.encoder.frozen: true`; with a trained encoder: `folds: 1`")
        if self.score.space == "pixels" and self.network.encoder.whole:
            raise ValueError("`network.encoder.whole: true` needs `score.space: features`")
        if self.score.space == "pixels" and self.score.distance == "cosine":
            raise ValueError("`score.distance: cosine` needs `score.space: features`")
        if self.score.space == "pixels" and self.score.memory:
            raise ValueError("`score.space: pixels` needs `score: {memory: 0}`: places are remembered by features")
        if 0 < self.score.memory < self.folds:
            few = f"`score.memory: {self.score.memory}` is less than one place for each of {self.folds} `folds`"
            raise ValueError(f"{few}: give 1000, or 0 for none")
        if self.score.space == "features" and not trained_on_features:
            raise ValueError("`score.space: features` needs `loss.features` or `loss.cosine` above 0")
        return self
