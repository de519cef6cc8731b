"""Networks by name, without their weights and without what classifies.

Not here: backbones with their weights (backbones.py).
"""

from torch import nn

from experiments.errors import DataError
from experiments.models.conv4 import Conv4
from experiments.rng import generator

PACKAGE = "efficientnet-lite0"
EXTRA = "pip install 'fsrun[imagenet,efficientnet]'"
_CONV4 = "conv4"


def untrained(architecture: str) -> nn.Module:
    """Return a network of images, its weights any: as backbones are called, or conv4_name gives it.

    Raises DataError where the library it is from is not installed, or has it no more.
    """
    library, _, name = architecture.partition(":")
    if library == _CONV4:
        filters, size = map(int, name.split("-"))
        return Conv4(filters, generator(_CONV4), (3, size, size))
    try:
        return _of_library(library, name)
    except ImportError as error:
        raise DataError(f"{architecture} is in packages that are not installed: {EXTRA}") from error
    except (RuntimeError, ValueError) as error:
        raise DataError(f"{architecture} is no longer available ({error}): embed the images again") from error


def conv4_name(filters: int, size: int) -> str:
    """Return what a conv4 for colour images of size x size is called here."""
    return f"{_CONV4}:{filters}-{size}"


def _of_library(library: str, name: str) -> nn.Module:
    if library == "timm":
        import timm

        network: nn.Module = timm.create_model(name, pretrained=False, num_classes=0)
        return network
    if library == "torchvision":
        from torchvision import models

        network = models.get_model(name, weights=None)
        cut_classifier(network, name)
        return network
    from efficientnet_lite_pytorch import EfficientNet

    return without_classifier(EfficientNet.from_name(library))


def without_classifier(network: nn.Module) -> nn.Module:
    """Take away what classifies in a network of the package of EfficientNets, and return it."""
    network._fc, network._dropout = nn.Identity(), nn.Identity()
    return network


def cut_classifier(network: nn.Module, name: str) -> None:
    """Take away the last linear layer of one of torchvision's, which is what classifies.

    Raises DataError where there is none.
    """
    linear = [place for place, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    if not linear:
        raise DataError(f"torchvision's {name} does not end in a linear layer: use the one of timm")
    parent, _, last = linear[-1].rpartition(".")
    setattr(network.get_submodule(parent), last, nn.Identity())
