"""A whole run's config: data, method, evaluation and seed, checked against each other.

Not here: sweeps and presets, and anything that needs torch.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import Discriminator, Field, Tag, TypeAdapter, ValidationError, model_validator

from experiments.config.base import MAX_SEED, STORED, AllBut, Frozen, Need
from experiments.config.data import EpisodeEvaluation
from experiments.config.image_sets import BUILT_IN, DATA_TAGS, AnyImageData
from experiments.config.rows import KINDS, METHOD_NAMES, ImageMethod
from experiments.config.synthetic import SyntheticRun
from experiments.errors import ConfigError


class ImageRun(Frozen):
    """One run of a row of Table 2 on images of characters or of things (paper section 4.2)."""

    needs: ClassVar[Mapping[str, tuple[Need, ...]]] = {
        # The features of what is drawn pass no batch normalisation; imported ones may pass a kept last block.
        **dict.fromkeys(("evaluation.batch_norm", "method.batch_norm"), ({"data.kind": AllBut("drawn")},)),
        # They choose among the classes and images that are learned from, and those of validation.
        "data.holdout": (
            {"evaluation.split": ("val",), "method.steps": AllBut(0), "method.pretrain": AllBut(None)},
        ),
        "data.train_images": ({"method.name": AllBut("cnn-nn")},),
    }

    experiment: str  # the name of the data set
    seed: int = Field(0, ge=0, le=MAX_SEED)
    data: AnyImageData
    method: ImageMethod
    evaluation: EpisodeEvaluation = EpisodeEvaluation()
    # Where another run trains the model that this one only measures: that run's evaluation.
    trained_by: EpisodeEvaluation | None = None

    @model_validator(mode="after")
    def _fits_the_data(self) -> Self:
        if self.data.kind != self.experiment:
            raise ValueError(f"experiment {self.experiment} cannot use the data of {self.data.kind}")
        self._check_images_per_class()
        self._check_turns()
        if self.data.holds_features:
            self.method.check_features()
        measured_on = self.evaluation.split
        if not self.data.class_count(measured_on):
            if measured_on == "val" and getattr(self.data, "holdout", None) is False:
                raise ValueError("split val is learned from while holdout=false: use --set holdout=true")
            other = "test" if measured_on == "val" else "val"
            raise ValueError(f"split {measured_on} has no classes here: use --set split={other}")
        self._check_evaluation(measured_on)
        self.method.check_evaluation(self.evaluation.n_way, self.evaluation.k_shot)
        for split in self.splits_learned_from():
            if not self.data.class_count(split):
                raise ValueError(
                    f"{self.method.name} learns from {split!r} classes and this protocol has none: "
                    + f"use --set protocol={self.data.protocol_with[split]}"
                )
            for option, ways in self.method.classes_per_episode(self.evaluation.n_way).items():
                self._check_ways(split, ways, option)
        return self

    def splits_learned_from(self) -> tuple[str, ...]:
        """Return the splits whose images the run needs to learn, its pre-training's among them."""
        stage = self.method.starts_from
        before = stage.splits if stage is not None else ()
        base = ("base",) if self.data.holds_features and getattr(self.method, "base_share", None) else ()
        return (*self.method.splits, *before, *base) if self.method.steps or before else ()

    def most_ways(self, split: str) -> int:
        """Return how many classes an episode of a split can have at most, as this run draws them."""
        within = self.evaluation.sampling == "within-alphabet"
        return self.data.largest_alphabet(split) if within else self.data.class_count(split)

    def _check_evaluation(self, split: str) -> None:
        asked = self.evaluation
        most = self.most_ways(split)
        if asked.sampling == "within-alphabet" and not most:
            raise ValueError(f"{self.experiment} has no alphabets: use --set sampling=mixed")
        if asked.sampling == "within-alphabet" and asked.n_way > most:
            raise ValueError(
                f"n_way {asked.n_way} is more than the {most} characters of the largest {split} alphabet: "
                f"use {most} or fewer"
            )
        self._check_ways(split, asked.n_way, "n_way")
        if asked.looks.count > 1 and self.data.holds_features:
            raise ValueError("looks change pixels, and these are features: leave evaluation.looks out")
        if asked.looks.count > 1 and hasattr(self.method, "views"):
            raise ValueError(
                f"{self.method.name} has looks of its own, which it adapts on: "
                "use --set views, mirrored_views and quarter_turns"
            )
        if asked.batch_norm not in (None, *self.method.batch_norms):
            raise ValueError(
                f"{self.method.name} cannot be measured with evaluation.batch_norm {asked.batch_norm}: "
                "leave it out, the method has its own way"
            )

    def _check_ways(self, split: str, ways: int, option: str) -> None:
        available = self.data.class_count(split)
        if ways > available:
            raise ValueError(
                f"{option} {ways} is more than the {available} {split} classes: use {available} or fewer"
            )

    def _check_turns(self) -> None:
        turns = getattr(self.method, "quarter_turns", 1)
        if turns > 1 and not getattr(self.data, "rotations", False):
            raise ValueError(
                f"quarter_turns {turns} looks at turned images, and no turned classes are learned from: "
                "use --set quarter_turns=1"
            )

    def _check_images_per_class(self) -> None:
        images = self.evaluation.k_shot + self.evaluation.n_query
        each = self.data.images_per_class
        if images > each:
            raise ValueError(
                f"k_shot {self.evaluation.k_shot} + n_query {self.evaluation.n_query} is {images} images "
                f"a class, but each class has {each}: lower one of them"
            )
        needed = self.method.images_per_class(self.evaluation.k_shot)
        each = getattr(self.data, "train_images", each)
        if sum(needed.values()) > each:
            raise ValueError(f"{' + '.join(needed)} is over {each} images a class: lower one of them")


RunConfig = SyntheticRun | ImageRun
_RUNS = ("synthetic", "images")


def _run_tag(value: Any) -> str:
    name = value.get("experiment") if isinstance(value, dict) else value.experiment
    return _RUNS[name != "synthetic"]


_ADAPTER: TypeAdapter[RunConfig] = TypeAdapter(
    Annotated[
        Annotated[SyntheticRun, Tag(_RUNS[0])] | Annotated[ImageRun, Tag(_RUNS[1])], Discriminator(_run_tag)
    ]
)


def parse_config(raw: dict[str, Any]) -> RunConfig:
    """Return the checked config; ConfigError names the first wrong option, its value and the rule."""
    return _parse(raw, None)


def config_from_json(text: str) -> RunConfig:
    """Return the config stored with a run; ConfigError if this version no longer understands it.

    An option that came later has the value that means what the run did.
    """
    return _parse(json.loads(text), STORED)


def _parse(raw: dict[str, Any], context: dict[str, Any] | None) -> RunConfig:
    try:
        return _ADAPTER.validate_python(raw, context=context)
    except ValidationError as error:
        raise ConfigError(_first_line(error)) from error


def config_to_json(config: RunConfig) -> str:
    """Return the canonical JSON of a config: the same config always gives the same text."""
    return _canonical(config.model_dump(mode="json"))


def config_hash(config: RunConfig, *, with_seed: bool = True) -> str:
    """Return 16 hex digits that name a config, or the group of its seeds, a pre-training's own included."""
    if not with_seed:
        own = {"seed": 0} if getattr(config.method, "seed", None) is not None else {}
        config = config.model_copy(update={"seed": 0, "method": config.method.model_copy(update=own)})
    return hashlib.blake2b(_canonical(config.naming()).encode(), digest_size=8).hexdigest()


def _canonical(value: dict[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _first_line(error: ValidationError) -> str:
    """Say the first of pydantic's complaints in one line: option, value, rule."""
    first = error.errors(include_url=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    sections = {
        *_RUNS,
        *BUILT_IN,
        *DATA_TAGS,
        "data",
        "method",
        "evaluation",
        *METHOD_NAMES,
        *KINDS,
        "linear",
    }
    option = ".".join(str(part) for part in first["loc"] if part not in sections)
    if not option:
        return message
    return f"{option} = {first['input']!r}: {message}"
