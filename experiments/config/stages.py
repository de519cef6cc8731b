"""Stages are runs that start from runs: who pre-trains, who trains, and who only measures.

Not here: finding such runs in the queue, which goes by the hash of their configs (store.runs).
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from experiments.config.data import EpisodeEvaluation
from experiments.config.image_sets import ImageData
from experiments.config.methods import PretrainConfig
from experiments.config.run import ImageRun, RunConfig, config_hash, parse_config
from experiments.config.training import Accelerated, Training


def prerequisites(config: RunConfig) -> tuple[RunConfig, ...]:
    """Return the runs whose final checkpoints this one starts from; equal configs share one such run."""
    if not isinstance(config, ImageRun):
        return ()
    trained = training_run(config)
    if trained is not None:
        return (trained,)
    pretrain = _pretraining(config)
    if pretrain is None:
        return ()
    evaluation = _blind_to_test(config.data, standard_evaluation(config.data, pretrain))
    return (ImageRun(experiment=config.experiment, data=config.data, method=pretrain, evaluation=evaluation),)


def _pretraining(config: ImageRun) -> PretrainConfig | None:
    """Return the pre-training of a run with what it takes from the run; None where it needs none.

    A seed it leaves open is named by number, so that whoever asks for this pre-training finds it. A run that
    trains faster pre-trains so too: one switch for both.
    """
    pretrain = config.method.starts_from
    if pretrain is None:
        return None
    assert isinstance(pretrain, PretrainConfig)
    taken: dict[str, Any] = {"seed": config.seed} if pretrain.seed is None else {}
    for name, slow in Accelerated.later.items():
        if getattr(config.method, name, slow) != slow:
            taken[name] = getattr(config.method, name)
    return pretrain.model_copy(update=taken)


def _blind_to_test(data: ImageData, evaluation: EpisodeEvaluation) -> EpisodeEvaluation:
    """Return the evaluation on validation classes where there are enough: a stage is in no table."""
    return evaluation.model_copy(
        update={"split": "val"} if data.class_count("val") >= evaluation.n_way else {}
    )


def training_run(config: RunConfig) -> ImageRun | None:
    """Return the run that trains what this one measures, None where it trains it itself."""
    if not isinstance(config, ImageRun) or config.trained_by is None:
        return None
    trained = {"method": config.method.as_trained(), "evaluation": config.trained_by, "trained_by": None}
    return config.model_copy(update=trained)


def training_steps(config: RunConfig) -> int:
    """Return how many steps a run trains: none where it measures what another has trained."""
    return config.method.steps if training_run(config) is None else 0


def standard_evaluation(
    data: ImageData, method: Training, asked: EpisodeEvaluation | None = None
) -> EpisodeEvaluation:
    """Return what a training that several evaluations share is measured on itself.

    The data set's standard, but for the options that the training takes from what is asked, and for data sets
    and models of few classes.
    """
    standard = data.standard.model_copy(update={"split": asked.split} if asked else {})
    kept = {name: getattr(asked or standard, name) for name in method.shaped_by()}
    most_ways = method.most_ways(standard.n_way) or standard.n_way
    chosen = {"n_way": min(standard.n_way, most_ways, data.class_count(standard.split))} | kept
    n_query = min(standard.n_query, data.images_per_class - chosen.get("k_shot", standard.k_shot))
    return standard.model_copy(update=chosen | {"n_query": n_query})


def share_trainings(configs: Iterable[RunConfig]) -> list[RunConfig]:
    """Have runs that differ in nothing but how they are tested measure the model of one training run.

    A run that is alone with its training keeps it, but on features, where other numbers of ways are likely to
    be asked for later and training is at the standard one. Raises ConfigError where no such training can be.
    """
    asked = list(configs)
    trainings = [_standard_training(config) for config in asked]
    sharing = Counter(training and config_hash(training) for training in trainings)
    return [
        config.model_copy(update={"trained_by": training.evaluation})
        if isinstance(config, ImageRun)
        and training
        and (sharing[config_hash(training)] > 1 or (config.data.holds_features and config != training))
        else config
        for config, training in zip(asked, trainings, strict=True)
    ]


def _standard_training(config: RunConfig) -> ImageRun | None:
    """Return the run that would train for any evaluation that this training suits; None for no training."""
    if not isinstance(config, ImageRun) or not config.method.steps:
        return None
    trained = {
        "method": config.method.as_trained().model_dump(),
        "evaluation": standard_evaluation(config.data, config.method, config.evaluation),
        "trained_by": None,
    }
    checked = parse_config(config.model_dump() | trained)
    assert isinstance(checked, ImageRun)
    return checked
