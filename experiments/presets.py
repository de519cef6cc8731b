"""Named sets of options: what `--preset` changes from the defaults of the config classes.

quick: minutes on a CPU. cpu: about an hour for a row, by its source's own sampling. fair: the recipes behind
the numbers of README, which use each embedded image many times. paper: the defaults of experiments/config.
mini-ImageNet and features have presets of their own.
"""

from typing import Any

from experiments import presets_features, presets_miniimagenet

Overrides = dict[str, Any]  # dotted option -> value

DEFAULT_PRESET = "fair"  # what made the numbers of README

# What a method needs on Omniglot whatever the preset.
METHOD_DATA: dict[str, Overrides] = {
    "fastslow": {"data.protocol": "R1", "method.views": 3, "method.quarter_turns": 4},
    "pretrain": {"data.protocol": "R1"},
    "cnn-nn": {"data.protocol": "R1"},
}

# Pre-training is a stage, in no table: what is chosen by it is chosen on validation classes.
_STAGE: Overrides = {"evaluation.split": "val"}

# How the backbone learns in the preset "fair", for every row that can share a batch: 180 images a step, each
# used in every comparison, as Fast/Slow's pre-training uses them, and on the same 1,200 characters.
_FAIR: Overrides = {
    "method.jitter.degrees": 12,
    "method.jitter.scale": 0.12,
    "method.jitter.shear": 10,
    "method.jitter.shift": 2,
    "method.jitter.warp": 0.7,
    "data.holdout": False,  # of Omniglot: its validation classes are learned from too
    "method.validate_every": 0,
    "method.precision": "bf16",
    "method.steps": 8000,
    "method.train_images": 3,
    "method.train_n_way": 60,
    "method.lr": 0.01,
    "method.schedule": "one-cycle",
    "method.averaging": 0.995,
    "method.mirrored": True,
}

PRESETS: dict[str, dict[str, Overrides]] = {
    "paper": {
        "coordinate-lstm": {},
        "metanet": {},
        "cnn": {},
        "siamese": {},
        "shrinking": {},
        "matching": {},
        "maml": {},
        "meta-lstm": {},
        "rare-events": {},
        "mann": {},
        "snail": {},
        "linear": {},
        "pixel-knn": {},
        "cnn-nn": {},
        "protonet": {},
        "pretrain": _STAGE,
        "fastslow": {},
    },
    "cpu": {
        "coordinate-lstm": {
            "method.steps": 1500,
            "method.validate_every": 500,
            "method.filters": 32,
            "method.start": "learned",
            "method.skip_lr": 0.1,
        },
        "metanet": {
            "method.steps": 4500,
            "method.validate_every": 500,
            "method.filters": 32,
            "method.train_n_query": 2,
        },
        "cnn": {},
        "siamese": {"method.steps": 7000, "method.halve_lr_every": 2000, "method.validate_every": 500},
        "shrinking": {},
        "matching": {"method.steps": 12_000, "method.halve_lr_every": 4000, "method.validate_every": 500},
        "maml": {
            "method.steps": 5000,
            "method.episodes_per_step": 4,
            "method.validate_every": 500,
            "method.lr": 0.003,  # three times the paper's suits so few steps better, on validation classes
            "method.schedule": "cosine",  # else it loses there from step 3,500 on what it had gained
            "method.multi_step": 1000,
        },
        "meta-lstm": {
            "method.steps": 6000,
            "method.validate_every": 500,
            "method.filters": 16,
            "method.train_n_query": 5,
        },
        "rare-events": {
            "method.steps": 2500,
            "method.validate_every": 100,
            "method.encoder": "conv4",
            "method.slots": 1024,
            "method.keep": 1.0,
            "method.lr": 1e-3,
        },
        "mann": {
            "method.steps": 8000,
            "method.validate_every": 500,
            "method.encoder": "conv4",
            "method.filters": 32,
            "method.training": "episodes",
            "method.slots": 64,
            "method.heads": 2,
            "method.lr": 3e-3,
            "method.jitter.degrees": 0,
            "method.jitter.shift": 0,
            "method.curriculum": 4000,
        },
        "snail": {
            "method.steps": 7000,
            "method.validate_every": 500,
            "method.train_shots": "k_shot",
            "method.train_queries": "each-class",
            "method.episodes_per_step": 4,
            "method.lr": 1e-3,
            "method.schedule": "one-cycle",
        },
        "linear": {},
        "pixel-knn": {},
        "cnn-nn": {"method.pretrain.steps": 12_000},
        "protonet": {"method.steps": 5000, "method.halve_lr_every": 1000},
        "pretrain": _STAGE | {"method.steps": 12_000},
        "fastslow": {"method.pretrain.steps": 12_000},
    },
    "quick": {
        "coordinate-lstm": {
            "method.steps": 150,
            "method.filters": 16,  # measuring the test episodes would take longest
            "method.start": "learned",
            "method.skip_lr": 0.1,
            "method.validate_every": 0,  # which would take longer than training
        },
        "metanet": {
            "method.steps": 300,
            "method.validate_every": 100,
            "method.filters": 16,
            "method.train_n_query": 2,
        },
        "cnn": {"method.steps": 1500, "method.validate_every": 250},
        "siamese": {"method.steps": 450, "method.halve_lr_every": 150, "method.validate_every": 75},
        "shrinking": {"method.steps": 1500, "method.validate_every": 250},
        "matching": {"method.steps": 900, "method.halve_lr_every": 300, "method.validate_every": 100},
        "maml": {
            "method.steps": 300,
            "method.episodes_per_step": 4,
            "method.validate_every": 50,
            "method.lr": 0.003,
            "method.multi_step": 100,
        },
        "meta-lstm": {
            "method.steps": 300,
            "method.validate_every": 50,
            "method.filters": 16,
            "method.train_n_query": 5,
        },
        "rare-events": {
            "method.steps": 120,
            "method.validate_every": 20,
            "method.encoder": "conv4",
            "method.slots": 1024,
            "method.keep": 1.0,
            "method.lr": 1e-3,
        },
        "mann": {
            "method.steps": 1200,
            "method.validate_every": 200,
            "method.encoder": "conv4",
            "method.filters": 16,
            "method.training": "episodes",
            "method.slots": 64,
            "method.heads": 2,
            "method.lr": 3e-3,
            "method.jitter.degrees": 0,
            "method.jitter.shift": 0,
            "method.curriculum": 1000,
        },
        "snail": {
            "method.steps": 400,
            "method.validate_every": 100,
            "method.train_shots": "k_shot",
            "method.train_queries": "each-class",
            "method.episodes_per_step": 4,
            "method.lr": 1e-3,
            "method.schedule": "one-cycle",
        },
        "linear": {"method.steps": 20_000},
        "pixel-knn": {},
        "cnn-nn": {"method.pretrain.steps": 800, "method.pretrain.validate_every": 100},
        "protonet": {
            "method.steps": 1000,
            "method.lr": 0.006,  # six times the paper's suits so few steps best, on validation classes
            "method.halve_lr_every": 350,
            "method.train_n_query": 2,
            "method.validate_every": 100,
        },
        "pretrain": _STAGE | {"method.steps": 800, "method.validate_every": 100},
        "fastslow": {
            "method.steps": 100,
            "method.validate_every": 25,
            "method.views": 1,
            "method.pretrain.steps": 800,
            "method.pretrain.validate_every": 100,
        },
    },
}

# The pre-training of Fast/Slow at its best; each seed of a run has a pre-training of that seed.
_FAIR_PRETRAIN: Overrides = {"classes": "base+meta", "steps": 24_000, "precision": "bf16"}
_FAIR_START: Overrides = {
    "data.holdout": False,
    "method.pretrain.seed": None,
    **{f"method.pretrain.{name}": value for name, value in _FAIR_PRETRAIN.items()},
}

PRESETS["fair"] = PRESETS["cpu"] | {
    "cnn": {"method.precision": "bf16"},
    "shrinking": {"method.precision": "bf16"},
    "pretrain": {
        "data.holdout": False,
        "evaluation.split": "test",
        **{f"method.{name}": value for name, value in _FAIR_PRETRAIN.items()},
    },
    "cnn-nn": _FAIR_START,
    "fastslow": {**_FAIR_START, "method.steps": 200, "method.validate_every": 0},
    "protonet": {
        **_FAIR,
        "method.halve_lr_every": None,
        "method.weight_decay": 5e-4,
        "method.learned_scale": True,
    },
    "matching": {
        **_FAIR,
        "method.halve_lr_every": None,
        "method.clip": None,
        "method.weight_decay": 5e-4,
        "method.learned_scale": True,
    },
    "siamese": {
        **_FAIR,
        "method.halve_lr_every": None,
        "method.train_n_way": 48,
        "method.train_images": 4,
        "method.lr": 0.002,
        "method.schedule": "cosine",
    },
    # The head alone learns a task (ANIL), so that a batch of features serves many tasks; table2.py has MAML
    # with all layers as a row of its own, by the preset cpu.
    "maml": {
        **_FAIR,
        "method.adapts": "head",
        "method.learned_rates": True,
        "method.clip": 5.0,
        "method.weight_decay": 5e-4,
    },
    # Of its 20 labels a task of fewer classes uses some: one training serves all four columns. Without
    # augmentation 1,200 steps of it reach 82.9 % on validation classes.
    "snail": {
        **_FAIR,
        "method.train_n_way": 30,
        "method.train_images": 6,
        "method.label_slots": 20,
        "method.train_shots": "1-or-5",
        "method.train_queries": "each-class",
        "method.embedding": "unit",
        "method.episodes_per_step": 8,
        "method.lr": 0.002,
    },
    # 2,000 steps of it reach 88 % on validation classes, as many as 4,500 of the preset cpu on test classes.
    "metanet": {
        **{name: value for name, value in _FAIR.items() if name != "method.train_n_way"},
        "method.filters": 32,
        "method.train_images": 8,
        "method.lr": 0.003,
    },
    "rare-events": {
        **_FAIR,
        "method.encoder": "conv4",
        "method.keep": 1.0,
        "method.train_n_way": 90,
        "method.train_images": 2,
        "method.lr": 0.002,
        "method.schedule": "cosine",
    },
}


def preset_options(experiment: str, method: str, preset: str) -> Overrides:
    """Return what a preset of an experiment changes from the defaults of a method and its data."""
    if experiment == "miniimagenet":
        return presets_miniimagenet.RECIPES.get(method, {}) | presets_miniimagenet.PRESETS[preset][method]
    if experiment in ("imagenet", "drawn"):
        return presets_features.RECIPES[method] | presets_features.PRESETS[preset][method]
    if experiment == "omniglot":
        return METHOD_DATA.get(method, {}) | PRESETS[preset][method]
    return {name: value for name, value in PRESETS[preset][method].items() if not name.startswith("data.")}
