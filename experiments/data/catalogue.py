"""The data sets that are imported from files, by name, and whether what is here is enough for a run.

Not here: how each is imported (omniglot.py, miniimagenet.py). Importing this needs neither torch nor numpy.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from experiments.config import ImageNetData, ImageRun, MiniImageNetData, RunConfig, prerequisites
from experiments.data import imagenet, miniimagenet, miniimagenet_stored, omniglot
from experiments.data.storage import DataSummary
from experiments.errors import DataError


@dataclass(frozen=True)
class ImportedSet:
    """A data set that lies below the data folder once it was imported.

    read: (source, data_dir, *, progress, replace) -> summary. how: the commands that bring it here.
    """

    title: str
    folder: Callable[[Path], Path]
    require: Callable[[Path], None]
    read: Callable[..., DataSummary]
    verify: Callable[[Path], DataSummary]
    how: str

    def is_here(self, data_dir: Path) -> bool:
        """Say whether it was imported, without reading an image."""
        try:
            self.require(data_dir)
        except DataError:
            return False
        return True


IMPORTED = {
    "omniglot": ImportedSet(
        "Omniglot",
        omniglot.omniglot_folder,
        omniglot.require_imported,
        omniglot.import_omniglot,
        omniglot.verify_omniglot,
        "fsrun data import omniglot PATH, or fsrun data fetch omniglot",
    ),
    "miniimagenet": ImportedSet(
        "mini-ImageNet",
        miniimagenet_stored.miniimagenet_folder,
        miniimagenet_stored.require_imported,
        miniimagenet.import_miniimagenet,
        miniimagenet.verify_miniimagenet,
        "fsrun data import miniimagenet PATH",
    ),
    "imagenet": ImportedSet(
        "ImageNet",
        imagenet.imagenet_folder,
        imagenet.require_listed,
        imagenet.import_imagenet,
        imagenet.verify_imagenet,
        "fsrun data import imagenet PATH",
    ),
}


def require_data(configs: Iterable[RunConfig], data_dir: Path) -> None:
    """Raise DataError where runs need images that are not here, saying what to type."""
    for config in configs:
        if (
            config.experiment in IMPORTED and config.experiment != "imagenet"
        ):  # its features are what is needed
            IMPORTED[config.experiment].require(data_dir)
        for each in (*prerequisites(config), config):
            if isinstance(each, ImageRun) and isinstance(each.data, MiniImageNetData):
                _require_images(each, each.data, data_dir)
            if isinstance(each, ImageRun) and isinstance(each.data, ImageNetData):
                imagenet.require_features(each, each.data, data_dir)


def refuse_inert(configs: Iterable[RunConfig], data_dir: Path) -> None:
    """Raise InertOption for an option that changes nothing of the data that are here, saying what to type."""
    for config in configs:
        if isinstance(config, ImageRun) and isinstance(config.data, ImageNetData):
            imagenet.refuse_statistics(config, config.data, data_dir)


def _require_images(config: ImageRun, data: MiniImageNetData, data_dir: Path) -> None:
    here = miniimagenet_stored.images_of_each_class(data_dir, data.protocol, holdout=data.holdout)
    asked = config.evaluation
    _require_enough(here, asked.split, {"k_shot": asked.k_shot, "n_query": asked.n_query})
    for split in config.method.splits:
        _require_enough(here, split, config.method.images_per_class(asked.k_shot) or {"1 image": 1})


def _require_enough(here: dict[str, int], split: str, needed: dict[str, int]) -> None:
    if sum(needed.values()) > here[split]:
        raise DataError(
            f"{' + '.join(needed)} is {sum(needed.values())} images a class, and mini-ImageNet has only "
            f"{here[split]} of some {split} class here: lower one of them, or import more images"
        )
