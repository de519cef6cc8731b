"""Named sets of options: what `--preset` changes from the defaults of the config classes.

Not here: the defaults themselves, which are the preset "paper" (experiments/config).
"""

from typing import Any

Overrides = dict[str, Any]  # dotted option -> value

# What a method needs whatever the preset.
METHOD_DATA: dict[str, Overrides] = {
    "fastslow": {"data.protocol": "R1"},
    "pretrain": {"data.protocol": "R1"},
}

PRESETS: dict[str, dict[str, Overrides]] = {
    "paper": {
        "linear": {},
        "pixel-knn": {},
        "protonet": {},
        "pretrain": {},
        "fastslow": {},
    },
    "quick": {
        "linear": {"method.steps": 20_000},
        "pixel-knn": {},
        "protonet": {
            "method.steps": 1000,
            "method.lr": 0.006,  # six times the paper's suits so few steps best, on validation classes
            "method.halve_lr_every": 350,
            "method.train_n_query": 2,
            "method.validate_every": 100,
        },
        "pretrain": {"method.steps": 800, "method.validate_every": 100},
        "fastslow": {
            "method.steps": 150,
            "method.validate_every": 25,
            "method.pretrain.steps": 800,
            "method.pretrain.validate_every": 100,
        },
    },
}
