"""The models of a station: one for the parts of which no recipe is told, and one for each recipe, all open and warm."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from os.path import realpath
from pathlib import Path

from core.errors import ArtifactError, ConfigError
from runtime.bundles.site_thresholds import SiteThresholds
from runtime.events.origin import Origin
from runtime.inference.detector import Asked
from runtime.inference.model_in_use import ModelInUse, open_model
from runtime.inference.recovery import Recovery
from runtime.parts.verdict import Reason


class Models:
    """Which model judges which recipe. It stays so; what a model is changes by its own `use`."""

    def __init__(self, default: ModelInUse, by_recipe: Mapping[str, ModelInUse] | None = None) -> None:
        """`default` judges where no recipe is told; without `by_recipe`, whatever is told."""
        self.default = default
        self._by_recipe = dict(by_recipe or {})
        self._by_key = {model.origin.recipe: model for model in (default, *self._by_recipe.values())}

    def __getitem__(self, key: str | None) -> ModelInUse:
        """Give a model by the `recipe` of its origin, which is the same for all recipes that it judges."""
        return self._by_key[key]

    @property
    def each(self) -> Sequence[ModelInUse]:
        """Every model once, the default first."""
        return list(self._by_key.values())

    @property
    def has_recipes(self) -> bool:
        """Whether a recipe chooses the model."""
        return bool(self._by_recipe)

    @property
    def depth(self) -> int:
        """How many batches may be under way, whichever of the models they are for."""
        return min(model.backend.depth for model in self.each)

    @property
    def recovery(self) -> Recovery:
        """Of the models' engines the one that is away the longest, if any is; first one that no waiting brings back."""
        return max((model.recovery for model in self.each), key=lambda each: (each.is_hopeless, each.away_s))

    @property
    def origins(self) -> dict[str | None, Origin]:
        """Who judges each recipe; None: where none is told."""
        return {None: self.default.origin} | {recipe: model.origin for recipe, model in self._by_recipe.items()}

    def choose(self, recipe: str | None) -> tuple[ModelInUse, tuple[Reason, ...]]:
        """Give who judges parts of `recipe`; of an unknown one the default, and why it cannot. For any thread."""
        if not recipe or not self.has_recipes:
            return self.default, ()
        known = self._by_recipe.get(recipe)
        return (self.default, (Reason.NO_RECIPE,)) if known is None else (known, ())

    def named(self, recipe: str | None) -> ModelInUse:
        """Give the model that somebody names. Raises ConfigError where there is none."""
        if recipe is not None and recipe not in self._by_recipe:
            known = ", ".join(self._by_recipe) or "none here"
            raise ConfigError(f"`recipe`: {known}; left out: `bundle`.")
        return self.default if recipe is None else self._by_recipe[recipe]

    def close(self) -> None:
        """Close every backend."""
        for model in self.each:
            model.close()


def open_models(station: str, path: Path, by_recipe: Mapping[str, Path], asked: Asked, site: SiteThresholds) -> Models:
    """Open the bundle at `path` and those of the recipes for a new run of `station`; a folder named twice, once.

    Raises ArtifactError or BackendError.
    """
    with ExitStack() as stack:
        default = open_model(station, path, asked, site)
        stack.callback(default.close)
        opened = {realpath(path): default}
        for recipe, own in by_recipe.items():
            if (folder := realpath(own)) not in opened:
                opened[folder] = model = open_model(station, own, asked, site, recipe, default.origin.boot_id)
                stack.callback(model.close)
        for model in opened.values():
            if model.origin.manifest.input.bits != default.origin.manifest.input.bits:
                raise ArtifactError(
                    f"{model.require_bundle().path}: reads files of 16 bits as {model.origin.manifest.bits}, and "
                    f"{path} as {default.origin.manifest.bits}; train them alike."
                )
        stack.pop_all()
        return Models(default, {recipe: opened[realpath(own)] for recipe, own in by_recipe.items()})
