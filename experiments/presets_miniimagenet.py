"""Named sets of options for mini-ImageNet: its 84x84 photographs ask for other sizes than characters do.

Not here: the presets of every other experiment (presets.py), and the defaults (experiments/config).
"""

from typing import Any

Overrides = dict[str, Any]  # dotted option -> value

_NO_JITTER: Overrides = dict.fromkeys(
    ("degrees", "scale", "shear", "shift", "warp", "stroke", "flip", "crop", "colour"), 0
)


def _below(prefix: str, options: Overrides) -> Overrides:
    return {f"{prefix}.{name}": value for name, value in options.items()}


# Pre-training as the paper has it, by softmax: a mirrored photograph shows the same thing, and 52 classes are
# too few for episodes of 60.
_PRETRAIN: Overrides = {
    "steps": 12_000,
    "objective": "softmax",
    "batch_size": 128,
    "train_n_way": 30,
    "train_images": 5,
    "lr": 0.005,
    "mirrored": False,
    **_below("jitter", _NO_JITTER),
}

# One length for every method that starts from it, so that they share it.
_CPU_PRETRAIN: Overrides = {"steps": 4500}
_QUICK_PRETRAIN: Overrides = {"steps": 300, "batch_size": 64, "validate_every": 150}

# What a method needs whatever the preset: the sizes of its own paper, or of Ravi & Larochelle 2017.
RECIPES: dict[str, Overrides] = {
    "cnn": {"method.filters": 32, "method.test": "fine-tune"},
    "siamese": {"method.filters": 32, "method.hard_negatives": 0.0},
    "shrinking": {"method.filters": 32},
    "matching": {"method.train_n_way": 5, "method.train_n_query": 15},
    "maml": {
        "method.filters": 32,
        "method.down": "pool",
        "method.episodes_per_step": 4,
        "method.inner_lr": 0.01,
        "method.test_steps": 10,
        "method.train_n_query": 15,
    },
    "snail": {"method.filters": 32},
    "protonet": {"method.train_n_way": 30, "method.train_n_query": 15},
    "metanet": {"method.filters": 32},
    "coordinate-lstm": {"method.filters": 32},
    "pretrain": {"data.protocol": "R1", **_below("method", _PRETRAIN)},
    "cnn-nn": {"data.protocol": "R1", **_below("method.pretrain", _PRETRAIN)},
    "fastslow": {
        "data.protocol": "R1",
        "method.train_n_way": 5,
        "method.batch_per_class": 5,
        "method.mirrored": False,
        "method.views": 1,
        **_below("method.jitter", _NO_JITTER),
        **_below("method.pretrain", _PRETRAIN),
    },
}

# Pre-training is a stage, in no table: what is chosen by it is chosen on validation classes.
_STAGE: Overrides = {"evaluation.split": "val"}

PRESETS: dict[str, dict[str, Overrides]] = {
    "paper": {
        "pixel-knn": {},
        "cnn-nn": {},
        "cnn": {"method.steps": 30_000},
        "siamese": {},
        "shrinking": {"method.steps": 30_000},
        "matching": {},
        "maml": {},
        "protonet": {},
        "metanet": {},
        "snail": {},
        "coordinate-lstm": {},
        "meta-lstm": {},
        "fastslow": {},
        "pretrain": _STAGE,
    },
    # About 45 minutes on two cores: 800,000 training images with 64 filters, twice as many with 32.
    "cpu": {
        "pixel-knn": {},
        "cnn-nn": _below("method.pretrain", _CPU_PRETRAIN),
        "cnn": {"method.steps": 20_000, "method.validate_every": 5000},
        "siamese": {
            "method.steps": 11_000,
            "method.batch_size": 64,
            "method.halve_lr_every": 3000,
        },
        "shrinking": {"method.steps": 20_000, "method.validate_every": 1000},
        "matching": {"method.steps": 9000, "method.halve_lr_every": 3000},
        "maml": {
            "method.steps": 2200,
            "method.first_order": True,
            "method.train_n_query": 5,
            "method.validate_every": 400,
        },
        "protonet": {
            "method.steps": 3300,
            "method.train_n_way": 20,
            "method.train_n_query": 10,
            "method.halve_lr_every": 1000,
        },
        "metanet": {"method.steps": 5000, "method.train_n_query": 2},
        "snail": {
            "method.steps": 20_000,
            "method.train_shots": "k_shot",
            "method.train_queries": "each-class",
            "method.episodes_per_step": 4,
            "method.lr": 1e-3,
            "method.schedule": "one-cycle",
        },
        "coordinate-lstm": {
            "method.steps": 1800,
            "method.start": "learned",
            "method.skip_lr": 0.1,
        },
        "meta-lstm": {
            "method.steps": 7000,
            "method.filters": 16,
            "method.train_n_query": 5,
        },
        "fastslow": _below("method.pretrain", _CPU_PRETRAIN),
        "pretrain": _STAGE | _below("method", _CPU_PRETRAIN),
    },
    # About three minutes with the test, which for methods that fit many weights to a task is most of it.
    "quick": {
        "pixel-knn": {},
        "cnn-nn": _below("method.pretrain", _QUICK_PRETRAIN),
        "cnn": {"method.steps": 400, "method.validate_every": 200},
        "siamese": {
            "method.steps": 1000,
            "method.batch_size": 32,
            "method.halve_lr_every": 400,
            "method.validate_every": 250,
        },
        "shrinking": {"method.steps": 1000, "method.validate_every": 250},
        "matching": {"method.steps": 360, "method.halve_lr_every": 120, "method.validate_every": 120},
        "maml": {
            "method.steps": 300,
            "method.filters": 16,
            "method.first_order": True,
            "method.episodes_per_step": 2,
            "method.train_n_query": 5,
            "method.test_steps": 5,
            "method.validate_every": 150,
        },
        "protonet": {
            "method.steps": 250,
            "method.train_n_way": 20,
            "method.train_n_query": 5,
            "method.halve_lr_every": 85,
            "method.validate_every": 85,
        },
        "metanet": {
            "method.steps": 150,
            "method.filters": 16,
            "method.train_n_query": 2,
            "method.validate_every": 0,  # as below
        },
        "snail": {
            "method.steps": 1100,
            "method.train_shots": "k_shot",
            "method.train_queries": "each-class",
            "method.episodes_per_step": 4,
            "method.lr": 1e-3,
            "method.schedule": "one-cycle",
            "method.validate_every": 275,
        },
        "coordinate-lstm": {
            "method.steps": 200,
            "method.filters": 16,
            "method.inner_steps": 5,
            "method.start": "learned",
            "method.skip_lr": 0.1,
            "method.validate_every": 0,  # which would take longer than training
        },
        "meta-lstm": {
            "method.steps": 250,
            "method.filters": 16,
            "method.inner_steps": 5,
            "method.train_n_query": 5,
            "method.validate_every": 125,
        },
        "fastslow": {
            "method.steps": 30,
            "method.batch_per_class": 2,
            "method.validate_every": 15,
            **_below("method.pretrain", _QUICK_PRETRAIN),
        },
        "pretrain": _STAGE | _below("method", _QUICK_PRETRAIN),
    },
}

# The pre-training of Fast/Slow at its best: by episodes, with 32 filters as the rows from Ravi & Larochelle.
_FAIR_PRETRAIN: Overrides = {
    "steps": 8000,
    "validate_every": 0,
    "classes": "base+meta",
    "objective": "episodes",
    "train_n_way": 20,
    "train_images": 6,
    "filters": 32,
    "precision": "bf16",
    "jitter.flip": True,
}
_FAIR_START: Overrides = {
    "data.holdout": False,
    "method.pretrain.seed": None,
    **_below("method.pretrain", _FAIR_PRETRAIN),
}

# How a backbone learns, on the classes and images of that pre-training.
_FAIR_BACKBONE: Overrides = {
    "data.holdout": False,
    "method.steps": 8000,
    "method.validate_every": 0,
    "method.filters": 32,
    "method.precision": "bf16",
    "method.lr": 0.005,
    "method.schedule": "one-cycle",
    "method.averaging": 0.995,
    "method.jitter.flip": True,
}
# By comparing all images of a batch.
_FAIR: Overrides = {
    **_FAIR_BACKBONE,
    "method.train_n_way": 20,
    "method.train_images": 6,
    "method.halve_lr_every": None,
}
# By a softmax over all classes. Cosine is the better distance by 4 points, on validation classes.
_FAIR_SOFTMAX: Overrides = {**_FAIR_BACKBONE, "method.batch_size": 128, "method.distance": "cosine"}

PRESETS["fair"] = PRESETS["cpu"] | {
    "cnn": _FAIR_SOFTMAX,
    "shrinking": _FAIR_SOFTMAX,
    "protonet": {**_FAIR, "method.weight_decay": 5e-4, "method.learned_scale": True},
    "matching": {
        **_FAIR,
        "method.clip": None,
        "method.weight_decay": 5e-4,
        "method.learned_scale": True,
    },
    "pretrain": {
        "data.holdout": False,
        "evaluation.split": "test",
        **_below("method", _FAIR_PRETRAIN),
    },
    "cnn-nn": _FAIR_START,
    "fastslow": {**_FAIR_START, "method.validate_every": 0, "method.mirrored_views": True},
}
