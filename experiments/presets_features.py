"""Named sets of options for features of images: theta' is an adapter of them, and a step costs little.

Not here: the presets of every other experiment (presets.py), and the defaults (experiments/config).
"""

from typing import Any

Overrides = dict[str, Any]  # dotted option -> value

_NO_PIXELS: Overrides = {
    f"method.jitter.{name}": 0 for name in ("degrees", "scale", "shear", "shift", "warp", "stroke")
}

# What a method needs whatever the preset.
RECIPES: dict[str, Overrides] = {
    "cnn-nn": {"method.pretrain": None},
    "protonet": {"method.train_n_way": 50, "method.train_n_query": 5, **_NO_PIXELS},
    "fastslow": {
        "method.pretrain": None,
        "method.base_share": 0.0,
        "method.mirrored": False,
        "method.views": 1,
        "method.batch_per_class": 5,
        "method.train_k_shot": 1,
        "method.validate_every": 100,
        **_NO_PIXELS,
    },
}

PRESETS: dict[str, dict[str, Overrides]] = {
    "paper": {
        "cnn-nn": {},
        "protonet": {"method.steps": 5000, "method.halve_lr_every": 1000, "method.train_k_shot": 1},
        "fastslow": {"method.steps": 1000},
    },
    "cpu": {
        "cnn-nn": {},
        "protonet": {
            "method.steps": 2000,
            "method.halve_lr_every": 500,
            "method.train_k_shot": 1,
            "method.validate_every": 200,
        },
        "fastslow": {"method.steps": 400},
    },
    "quick": {
        "cnn-nn": {},
        "protonet": {
            "method.steps": 200,
            "method.halve_lr_every": 100,
            "method.train_k_shot": 1,
            "method.validate_every": 50,
        },
        "fastslow": {"method.steps": 100, "method.validate_every": 50},
    },
}

PRESETS["fair"] = PRESETS["cpu"]
