"""A whole run's config: data, method, evaluation and seed, checked against each other.

Not here: sweeps and presets, and anything that needs torch.
"""

import hashlib
import json
from typing import Annotated, Any, Literal, Self

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from experiments.config.base import Frozen
from experiments.config.data import EpisodeEvaluation, GlyphsData, OmniglotData
from experiments.config.rows import METHOD_NAMES, ImageMethod
from experiments.config.synthetic import SyntheticRun
from experiments.data.protocols import DRAWERS
from experiments.errors import ConfigError


class ImageRun(Frozen):
    """One run of a row of Table 2 on images of characters (paper section 4.2)."""

    experiment: Literal["omniglot", "glyphs"]
    seed: int = Field(0, ge=0)
    data: Annotated[OmniglotData | GlyphsData, Field(discriminator="kind")]
    method: ImageMethod
    evaluation: EpisodeEvaluation = EpisodeEvaluation()
    # Where another run trains the model that this one only measures: that run's evaluation.
    trained_by: EpisodeEvaluation | None = None

    @model_validator(mode="after")
    def _fits_the_data(self) -> Self:
        if self.data.kind != self.experiment:
            raise ValueError(f"experiment {self.experiment} cannot use the data of {self.data.kind}")
        self._check_images_per_class()
        measured_on = self.evaluation.split
        if not self.data.class_count(measured_on):
            other = "test" if measured_on == "val" else "val"
            raise ValueError(f"split {measured_on} has no classes here: use --set split={other}")
        self._check_ways(measured_on, self.evaluation.n_way, "n_way")
        self.method.check_evaluation(self.evaluation.n_way, self.evaluation.k_shot)
        for split in self.method.splits:
            if not self.data.class_count(split):
                raise ValueError(
                    f"{self.method.name} learns from {split!r} classes and this protocol has none: "
                    + f"use --set protocol={'R1' if split in ('base', 'meta') else 'P-V'}"
                )
            for option, ways in self.method.classes_per_episode(self.evaluation.n_way).items():
                self._check_ways(split, ways, option)
        return self

    def _check_ways(self, split: str, ways: int, option: str) -> None:
        available = self.data.class_count(split)
        if ways > available:
            raise ValueError(
                f"{option} {ways} is more than the {available} {split} classes: use {available} or fewer"
            )

    def _check_images_per_class(self) -> None:
        images = self.evaluation.k_shot + self.evaluation.n_query
        if images > DRAWERS:
            raise ValueError(
                f"k_shot {self.evaluation.k_shot} + n_query {self.evaluation.n_query} is {images} images "
                f"a class, but each class has {DRAWERS}: lower one of them"
            )
        needed = self.method.images_per_class(self.evaluation.k_shot)
        if sum(needed.values()) > DRAWERS:
            raise ValueError(f"{' + '.join(needed)} is over {DRAWERS} images a class: lower one of them")


RunConfig = SyntheticRun | ImageRun
_ADAPTER: TypeAdapter[RunConfig] = TypeAdapter(Annotated[RunConfig, Field(discriminator="experiment")])


def parse_config(raw: dict[str, Any]) -> RunConfig:
    """Return the checked config; ConfigError names the first wrong option, its value and the rule."""
    try:
        return _ADAPTER.validate_python(raw)
    except ValidationError as error:
        raise ConfigError(_first_line(error)) from error


def config_from_json(text: str) -> RunConfig:
    """Return the config stored with a run; ConfigError if this version no longer understands it."""
    return parse_config(json.loads(text))


def config_to_json(config: RunConfig) -> str:
    """Return the canonical JSON of a config: the same config always gives the same text."""
    return json.dumps(config.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))


def config_hash(config: RunConfig, *, with_seed: bool = True) -> str:
    """Return 16 hex digits that name a config, or the group of its seeds."""
    if not with_seed:
        config = config.model_copy(update={"seed": 0})
    return hashlib.blake2b(config_to_json(config).encode(), digest_size=8).hexdigest()


def _first_line(error: ValidationError) -> str:
    """Say the first of pydantic's complaints in one line: option, value, rule."""
    first = error.errors(include_url=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    sections = {"synthetic", "omniglot", "glyphs", "data", "method", "evaluation", *METHOD_NAMES, "linear"}
    option = ".".join(str(part) for part in first["loc"] if part not in sections)
    if not option:
        return message
    return f"{option} = {first['input']!r}: {message}"
