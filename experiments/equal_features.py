"""Table 2 on equal features: what each method's mechanism adds to the features of one pre-training.

Every row starts from the pre-training of Fast/Slow, learns from the same classes and answers the same test
episodes. How the runs are found and shown is in fsrun/report/equal_features.py.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.errors import ConfigError, unknown_name
from experiments.presets import DEFAULT_PRESET
from experiments.sweeps import PlannedRun
from experiments.table2 import Row, plan_rows, rows_of

REFERENCE = "nearest-mean"
"""The row that the others with as many looks are compared with."""

DATA = ("omniglot", "glyphs", "miniimagenet")

_STARTED: Mapping[str, Any] = {"method.start": "pretrain", "method.frozen": False}
_FROZEN: Mapping[str, Any] = {"method.start": "pretrain", "method.frozen": True}

# Rates are chosen on validation classes at 20 ways and 1 shot, after 2,000 steps of pre-training, by which
# nearest mean has 95.7 %: Matching Network trained on 91.5, 94.4 and 95.8 % at 0.0001, 0.001 and 0.003;
# Siamese frozen 82.6 and 95.6 % at 0.001 and 0.01, trained on 84.6 and 91.8 % at 0.001 and 0.005.
_FEW: Mapping[str, Any] = {
    "method.steps": 2000,
    "method.validate_every": 0,
    "method.lr": 0.001,
    "method.schedule": "cosine",
}
_SEQUENCES: Mapping[str, Any] = {"method.steps": 4000, "method.validate_every": 0}


def _row(method: str, how: Mapping[str, Any], kind: str, fair: Mapping[str, Any], **sets: Any) -> Row:
    own = {f"method.{name}": value for name, value in sets.items()}
    conv4 = {"paper": {"method.encoder": "conv4"}} if method in ("mann", "rare-events") else {}
    also = {**conv4, "fair": {name: value for name, value in fair.items() if name not in own}}
    name = f"{method}-{kind}".replace(" ", "-").replace(",", "")
    return Row(name, method, {**how, **own}, also=also, kind=kind)


MECHANISMS: tuple[Row, ...] = (
    Row("nearest-image", "cnn-nn", {"method.test": "nearest"}, called="Nearest image"),
    Row(REFERENCE, "cnn-nn", {"method.test": "mean"}, called="Nearest mean"),
    Row("linear", "cnn-nn", {"method.test": "linear"}, called="Linear"),
    _row("siamese", _FROZEN, "frozen", {**_FEW, "method.steps": 4000, "method.lr": 0.01}),
    _row("siamese", _STARTED, "trained on", {**_FEW, "method.lr": 0.01}),
    _row("matching", _FROZEN, "frozen", _FEW, fce=True),
    _row("matching", _STARTED, "trained on", {**_FEW, "method.lr": 0.003}),
    _row("protonet", _STARTED, "trained on", _FEW),
    _row("rare-events", _FROZEN, "frozen", _FEW),
    _row("rare-events", _STARTED, "trained on", _FEW),
    _row("mann", _FROZEN, "frozen", _SEQUENCES, training="episodes"),
    _row("snail", _FROZEN, "frozen", _SEQUENCES),
    _row("maml", _FROZEN, "head, frozen", _FEW, adapts="head", learned_rates=True, test_steps=None),
    _row("maml", _STARTED, "head, trained on", _FEW, adapts="head", learned_rates=True, test_steps=None),
    Row("fastslow", "fastslow"),
    Row(
        f"{REFERENCE}-looks",
        "cnn-nn",
        {"method.test": "mean"},
        called="Nearest mean",
        kind="looks",
        several_looks=True,
    ),
    Row("fastslow-looks", "fastslow", kind="looks", several_looks=True),
)


def plan_equal_features(
    experiment: str = "omniglot",
    *,
    preset: str = DEFAULT_PRESET,
    seeds: int = 1,
    settings: Sequence[str] = (),
) -> list[PlannedRun]:
    """Return the runs of all rows on one pre-training for each of its seeds, cheap rows first.

    `settings`, such as "episodes=200", change every run that has the option. Raises ConfigError.
    """
    if experiment not in DATA:
        raise unknown_name("data of equal-features", experiment, DATA)
    for setting in settings:
        name = setting.partition("=")[0].rpartition(".")[2]
        if name in ("start", "frozen"):
            raise ConfigError(f"equal-features has rows for every {name}: leave it out")
    return plan_rows(rows_of(experiment, MECHANISMS), experiment, preset, seeds, settings)
