"""Every data set in one list: how it comes here, what a run needs of it, how it is opened.

A new data set is its config class, its files, a class here and a line in the list. Importing this needs
neither torch nor numpy: both are loaded when images are opened.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast

from pydantic import create_model

from experiments.config import (
    DrawnData,
    EmbeddedData,
    EpisodeEvaluation,
    GlyphsData,
    ImageData,
    ImageRun,
    MiniImageNetData,
    OmniglotData,
    OwnFeatures,
    OwnImages,
    RunConfig,
    prerequisites,
)
from experiments.data import miniimagenet as mini
from experiments.data import omniglot, own_images
from experiments.data.storage import DataSummary, verify_dataset
from experiments.errors import DataError
from experiments.features import imagenet
from experiments.features.index import embedded_sets
from experiments.registry import EXPERIMENTS, ExperimentEntry
from experiments.splits.miniimagenet import miniimagenet_splits
from experiments.splits.omniglot import TURNS, glyph_splits, protocol_splits

if TYPE_CHECKING:
    from experiments.data.episodes import Sampler
    from experiments.data.images import ImageTable
    from experiments.data.table import Table

SPLITS = ("train", "base", "meta", "val", "test")
Data = TypeVar("Data", bound=ImageData)
Names = dict[str, list[str]]  # split -> its classes in order


class DataSet(ABC, Generic[Data]):
    """A data set that the program makes itself; what is imported is an ImportedSet."""

    name: str  # also of its experiment
    title: str

    @abstractmethod
    def open(self, data: Data, data_dir: Path) -> "Table":
        """Return the images or features with their splits; DataError where they are not here."""

    def class_names(self, data: Data) -> Names:
        """Return the names of the classes of each split, for whoever uses a model elsewhere."""
        return {}

    def folders(self, data: Data) -> tuple[str, ...]:
        """Return what a run learns from that was imported or embedded: folders below the data folder."""
        return ()

    def require(self, run: ImageRun, data: Data, data_dir: Path) -> None:
        """Raise DataError where a run needs more than is here, saying what to type."""

    def refuse_inert(self, run: ImageRun, data: Data, data_dir: Path) -> None:
        """Raise InertOption for an option that changes nothing of the data that are here."""


@dataclass(frozen=True)
class Part:
    """How many images of a part of a data set are here, and how many it has."""

    name: str
    images: int
    expected: int


class ImportedSet(DataSet[Data]):
    """A data set that lies below the data folder once it was imported from files."""

    how: str  # the commands that bring it here

    def folder(self, data_dir: Path) -> Path:
        """Return where it lies once it is imported."""
        return data_dir / self.name

    @abstractmethod
    def require_imported(self, data_dir: Path) -> None:
        """Raise DataError, saying what to type, where it was not imported; no image is read."""

    @abstractmethod
    def read(
        self, source: Path, data_dir: Path, *, progress: Callable[[int, int], None], replace: bool
    ) -> DataSummary:
        """Import it from files; a good earlier import is kept unless replace. Raises DataError."""

    @abstractmethod
    def verify(self, data_dir: Path) -> DataSummary:
        """Check what was imported against its checksum and counts; DataError where they differ."""

    def parts(self, data_dir: Path) -> tuple[Part, ...]:
        """Return how much of each part is here, of a data set that can be imported in parts."""
        return ()

    def remarks(self, data_dir: Path) -> list[str]:
        """Return what is to be said of an import beside its counts, a line each."""
        return []

    def duplicates(self, data_dir: Path) -> tuple[mini.Duplicate, ...]:
        """Return the pairs of equal images, of a data set that is known to have some."""
        return ()

    def is_here(self, data_dir: Path) -> bool:
        """Return whether it was imported; no image is read."""
        try:
            self.require_imported(data_dir)
        except DataError:
            return False
        return True

    def folders(self, data: Data) -> tuple[str, ...]:
        """Return its folder."""
        return (self.name,)

    def require(self, run: ImageRun, data: Data, data_dir: Path) -> None:
        """Raise DataError where it was not imported."""
        self.require_imported(data_dir)


def _turned(upright: Mapping[str, Iterable[str]], rotations: bool) -> Names:
    """Return the classes with their quarter turns anticlockwise: Tibetan/7/3."""
    turns = range(TURNS if rotations else 1)
    return {split: [f"{name}/{turn}" for turn in turns for name in names] for split, names in upright.items()}


class Omniglot(ImportedSet[OmniglotData]):
    """Handwritten characters of fifty alphabets, by twenty people (Lake et al. 2015)."""

    name = "omniglot"
    title = "Omniglot"
    how = "fsrun data import omniglot PATH, or fsrun data fetch omniglot"

    def open(self, data: OmniglotData, data_dir: Path) -> "ImageTable":
        """Return the images with the splits of a protocol."""
        return omniglot.open_omniglot(data_dir, data.protocol, holdout=data.holdout, rotations=data.rotations)

    def class_names(self, data: OmniglotData) -> Names:
        """Return alphabet, number of the character from 1 on, and quarter turns."""
        splits = protocol_splits(data.protocol, holdout=data.holdout)
        upright = {split: [f"{each.alphabet}/{each.number}" for each in splits[split]] for split in splits}
        return _turned(upright, data.rotations)

    def require_imported(self, data_dir: Path) -> None:
        """Raise DataError where it was not imported."""
        omniglot.require_imported(data_dir)

    def read(
        self, source: Path, data_dir: Path, *, progress: Callable[[int, int], None], replace: bool
    ) -> DataSummary:
        """Import the two official zips, or their folders."""
        return omniglot.import_omniglot(source, data_dir, progress=progress, replace=replace)

    def verify(self, data_dir: Path) -> DataSummary:
        """Check its checksum and its 1,623 characters."""
        return omniglot.verify_omniglot(data_dir)


class Glyphs(DataSet[GlyphsData]):
    """Characters that the program draws itself."""

    name = "glyphs"
    title = "Glyphs"

    def open(self, data: GlyphsData, data_dir: Path) -> "ImageTable":
        """Return the images, drawn at the first call."""
        from experiments.data.glyphs import open_glyphs

        return open_glyphs(
            data_dir, data.alphabets, data.characters, seed=data.seed, rotations=data.rotations
        )

    def class_names(self, data: GlyphsData) -> Names:
        """Return the numbers of alphabet and character, both from 1 on, and quarter turns."""
        size = data.characters
        splits = glyph_splits(data.alphabets, size)
        upright = {
            name: [f"{each // size + 1}/{each % size + 1}" for each in splits[name]] for name in splits
        }
        return _turned(upright, data.rotations)


class MiniImageNet(ImportedSet[MiniImageNetData]):
    """A hundred classes of photographs (Vinyals et al. 2016), in the splits of Ravi & Larochelle 2017."""

    name = "miniimagenet"
    title = "mini-ImageNet"
    how = "fsrun data import miniimagenet PATH"

    def open(self, data: MiniImageNetData, data_dir: Path) -> "ImageTable":
        """Return the images with the splits of a protocol."""
        return mini.open_miniimagenet(data_dir, data.protocol, holdout=data.holdout)

    def class_names(self, data: MiniImageNetData) -> Names:
        """Return the WordNet numbers: n01532829."""
        splits = miniimagenet_splits(data.protocol, holdout=data.holdout)
        return {split: list(members) for split, members in splits.items()}

    def require_imported(self, data_dir: Path) -> None:
        """Raise DataError where nothing of it was imported."""
        mini.require_imported(data_dir)

    def read(
        self, source: Path, data_dir: Path, *, progress: Callable[[int, int], None], replace: bool
    ) -> DataSummary:
        """Import what there is of it; the rest can follow."""
        return mini.import_miniimagenet(source, data_dir, progress=progress, replace=replace)

    def verify(self, data_dir: Path) -> DataSummary:
        """Check its checksum."""
        return mini.verify_miniimagenet(data_dir)

    def parts(self, data_dir: Path) -> tuple[Part, ...]:
        """Return how much of each of Ravi & Larochelle's lists is here."""
        return tuple(Part(each.part, each.images, each.expected) for each in mini.counts(data_dir))

    def duplicates(self, data_dir: Path) -> tuple[mini.Duplicate, ...]:
        """Return the pairs of equal images; the published set has eight."""
        return mini.duplicates(data_dir)

    def require(self, run: ImageRun, data: MiniImageNetData, data_dir: Path) -> None:
        """Raise DataError where some class of a split has fewer images than an episode needs."""
        super().require(run, data, data_dir)
        here = mini.images_of_each_class(data_dir, data.protocol, holdout=data.holdout)
        asked = run.evaluation
        _require_enough(here, asked.split, {"k_shot": asked.k_shot, "n_query": asked.n_query})
        for split in run.method.splits:
            _require_enough(here, split, run.method.images_per_class(asked.k_shot) or {"1 image": 1})


def _require_enough(here: Mapping[str, int], split: str, needed: Mapping[str, int]) -> None:
    if sum(needed.values()) > here[split]:
        raise DataError(
            f"{' + '.join(needed)} is {sum(needed.values())} images a class, and mini-ImageNet has only "
            f"{here[split]} of some {split} class here: lower one of them, or import more images"
        )


class Embedded(DataSet[EmbeddedData]):
    """Features of a folder of class folders, as `fsrun data embed` left them."""

    def __init__(self, name: str) -> None:
        self.name = self.title = name

    def open(self, data: EmbeddedData, data_dir: Path) -> "Table":
        """Return the features."""
        return imagenet.open_imagenet_features(data_dir, data)

    def folders(self, data: EmbeddedData) -> tuple[str, ...]:
        """Return the folder of the features, which are all a run needs."""
        return (f"features/{data.features}",)

    def require(self, run: ImageRun, data: EmbeddedData, data_dir: Path) -> None:
        """Raise DataError where the features have fewer classes or images than a run asks for."""
        imagenet.require_features(run, data, data_dir)

    def refuse_inert(self, run: ImageRun, data: EmbeddedData, data_dir: Path) -> None:
        """Raise InertOption where statistics are asked for and the features pass no batch normalisation."""
        imagenet.refuse_statistics(run, data, data_dir)


class ImageNet(Embedded, ImportedSet[EmbeddedData]):
    """ImageNet: its images are listed, and runs learn from their features."""

    title = "ImageNet"
    how = "fsrun data import imagenet PATH"

    def __init__(self) -> None:
        self.name = "imagenet"

    def require_imported(self, data_dir: Path) -> None:
        """Raise DataError where its images were not listed."""
        imagenet.require_listed(data_dir)

    def read(
        self, source: Path, data_dir: Path, *, progress: Callable[[int, int], None], replace: bool
    ) -> DataSummary:
        """List the images, which are read in place later."""
        return imagenet.import_imagenet(source, data_dir, progress=progress, replace=replace)

    def verify(self, data_dir: Path) -> DataSummary:
        """List the images again and compare."""
        return imagenet.verify_imagenet(data_dir)


class Drawn(DataSet[DrawnData]):
    """Features drawn at random at ImageNet's size, to see what time and memory that takes."""

    name = "drawn"
    title = "Drawn"

    def open(self, data: DrawnData, data_dir: Path) -> "Table":
        """Return the features, drawn at the first call."""
        from experiments.features.drawn import open_drawn

        return open_drawn(data_dir, data)


class OwnImageSet(ImportedSet[OwnImages]):
    """Images that a user has imported under a name of their own."""

    def __init__(self, name: str, wanted: own_images.Wanted | None = None) -> None:
        self.name = self.title = name
        self.how = f"fsrun data import {name} PATH"
        self.wanted = wanted or own_images.Wanted()

    def open(self, data: OwnImages, data_dir: Path) -> "ImageTable":
        """Return the images with their splits."""
        self._require_as_queued(data, data_dir)
        return own_images.open_own(data_dir, self.name)

    def require_imported(self, data_dir: Path) -> None:
        """Raise DataError where it was not imported."""
        own_images.read_facts(data_dir, self.name)

    def read(
        self, source: Path, data_dir: Path, *, progress: Callable[[int, int], None], replace: bool
    ) -> DataSummary:
        """Import class folders, a csv of file,label, or what a package offers under this name."""
        wanted = self.wanted
        return own_images.import_own(self.name, source, data_dir, wanted, progress=progress, replace=replace)

    def verify(self, data_dir: Path) -> DataSummary:
        """Check its checksum."""
        self.require_imported(data_dir)
        return verify_dataset(self.folder(data_dir))

    def remarks(self, data_dir: Path) -> list[str]:
        """Return the classes of each split, and what was left out."""
        return own_images.remarks(self.folder(data_dir))

    def require(self, run: ImageRun, data: OwnImages, data_dir: Path) -> None:
        """Raise DataError where it is not here, or other images are."""
        self._require_as_queued(data, data_dir)

    def _require_as_queued(self, data: OwnImages, data_dir: Path) -> None:
        if own_images.read_facts(data_dir, self.name) != data.facts:
            raise DataError(
                f"data set {self.name} was imported anew with other images or splits: queue again"
            )


DATA_SETS: dict[str, DataSet[Any]] = {
    each.name: each for each in (Omniglot(), Glyphs(), MiniImageNet(), ImageNet(), Drawn())
}
IMPORTED: dict[str, ImportedSet[Any]] = {
    name: each for name, each in DATA_SETS.items() if isinstance(each, ImportedSet)
}
BUILT_IN = tuple(EXPERIMENTS)


def data_set(data: ImageData) -> DataSet[Any]:
    """Return the data set of a config: a built-in one, or a user's own, whether or not it is here."""
    if isinstance(data, OwnImages):
        return OwnImageSet(data.kind)
    return Embedded(data.kind) if isinstance(data, OwnFeatures) else DATA_SETS[data.kind]


def load_own(data_dir: Path) -> None:
    """Enter the data sets of one's own that are here into the lists, and take those out that are not."""
    for lists in (EXPERIMENTS, DATA_SETS, IMPORTED):
        for name in [name for name in lists if name not in BUILT_IN]:
            del lists[name]
    for name in own_images.own_names(data_dir):
        _enter(OwnImages(kind=name, facts=own_images.read_facts(data_dir, name)))
    for name in embedded_sets(data_dir):
        if name not in EXPERIMENTS:
            _enter(OwnFeatures(kind=name, features=name))


def enter_stored(raw: Mapping[str, Any]) -> None:
    """Enter own data into the lists as a run stores them, whether or not they are here."""
    _enter((OwnImages if "facts" in raw else OwnFeatures).model_validate(raw))


def _enter(data: OwnImages | OwnFeatures) -> None:
    """Enter own data into the lists; their options have the values of `data` unless others are asked for."""
    fields: Any = {
        name: (Literal[value] if name == "kind" else type(value), value)
        for name in type(data).model_fields
        if (value := getattr(data, name)) is not None
    }
    made: Any = create_model(type(data).__name__, __base__=type(data), **fields)
    config = cast(type[OwnImages | OwnFeatures], made)
    alike = "imagenet"
    if isinstance(data, OwnImages):
        alike = "glyphs" if data.facts.image == "grey" else "miniimagenet"
        IMPORTED[data.kind] = OwnImageSet(data.kind)
    about = "your own data, one-shot recognition"
    EXPERIMENTS[data.kind] = ExperimentEntry(
        data.kind, about, config, EpisodeEvaluation, "fastslow", needs_import=True, like=alike
    )
    DATA_SETS[data.kind] = data_set(data)


def open_examples(data: ImageData, data_dir: Path | None) -> "Table":
    """Return the images or features of a data set with its splits; DataError where they are not here.

    Without a data_dir the splits alone, and no images: enough for a method that classifies others.
    """
    if data_dir is not None:
        table: Table = data_set(data).open(data, data_dir)
        return table
    if data.holds_features:
        raise DataError("a model of features cannot look at images by itself: use a run on images")
    return _splits_alone(data)


def open_table(data: ImageData, data_dir: Path | None) -> "ImageTable":
    """Return the same for a method that needs images; DataError where the data set holds features."""
    from experiments.data.images import ImageTable

    if data.holds_features:
        raise DataError(f"{data.kind} holds features, and this method needs images: use another method")
    table = open_examples(data, data_dir)
    assert isinstance(table, ImageTable)
    return table


def _splits_alone(data: ImageData) -> "ImageTable":
    import torch

    from experiments.data.images import ImageTable, split_classes

    rotations = getattr(data, "rotations", False)
    sizes = {name: data.class_count(name) // (TURNS if rotations else 1) for name in SPLITS}
    splits = {name: split_classes(range(size), rotations=rotations) for name, size in sizes.items() if size}
    channels, height, width = data.image_shape
    shape = (data.images_per_class, *((channels,) if channels > 1 else ()), height, width)
    return ImageTable(torch.empty(0, *shape, dtype=torch.uint8), splits)


def evaluation_sampler(table: "Table", evaluation: EpisodeEvaluation) -> "Sampler":
    """Return the sampler of the numbered episodes that every method is measured on."""
    from experiments.data.alphabets import AlphabetSampler
    from experiments.data.episodes import EpisodeSampler
    from experiments.data.images import ImageTable
    from experiments.features.table import FeatureTable, UnevenSampler

    if isinstance(table, FeatureTable):
        sizes = (evaluation.n_way, evaluation.k_shot, evaluation.n_query)
        return UnevenSampler(table, *sizes, key=("evaluation", evaluation.seed))
    assert isinstance(table, ImageTable)
    within = evaluation.sampling == "within-alphabet"
    draws = AlphabetSampler if within else EpisodeSampler
    return draws(
        table,
        n_way=evaluation.n_way,
        k_shot=evaluation.k_shot,
        n_query=evaluation.n_query,
        key=("evaluation", *(["within-alphabet"] if within else []), evaluation.seed),
    )


def split_names(config: RunConfig) -> Names:
    """Return the names of each split's classes in their order; no splits where the data have no classes."""
    return data_set(config.data).class_names(config.data) if isinstance(config, ImageRun) else {}


def folders_needed(configs: Iterable[RunConfig]) -> list[str]:
    """Return what runs, and what they start from, learn from: folders below the data folder."""
    return [folder for run in _with_parents(configs) for folder in data_set(run.data).folders(run.data)]


def require_data(configs: Iterable[RunConfig], data_dir: Path) -> None:
    """Raise DataError where runs need images that are not here, saying what to type."""
    for run in _with_parents(configs):
        data_set(run.data).require(run, run.data, data_dir)


def refuse_inert(configs: Iterable[RunConfig], data_dir: Path) -> None:
    """Raise InertOption for an option that changes nothing of the data that are here, saying what to type."""
    for config in configs:
        if isinstance(config, ImageRun):
            data_set(config.data).refuse_inert(config, config.data, data_dir)


def _with_parents(configs: Iterable[RunConfig]) -> list[ImageRun]:
    runs = [each for config in configs for each in (*prerequisites(config), config)]
    return [run for run in runs if isinstance(run, ImageRun)]
