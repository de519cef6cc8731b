"""All reports there are by their names: what narrows each, and who makes it.

Not here: the reports themselves; each is loaded when it is asked for.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fsrun.report.errors import NothingToReport

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from fsrun.report.report import Report


@dataclass(frozen=True)
class Choice:
    """Which report, and what narrows it; `subject` is the experiment, the method or the study it is on."""

    name: str
    subject: str = ""
    run_id: int | None = None
    n_way: int | None = None
    k_shot: int | None = None
    features: str | None = None
    on: str | None = None
    preset: str | None = None
    by: str | None = None

    @property
    def typed(self) -> str:
        """The options that ask for it, without the dashes before them."""
        words = [self.name, self.subject]
        words += [f"--n-way {self.n_way}"] if self.n_way else []
        words += [f"--k-shot {self.k_shot}"] if self.k_shot else []
        words += [f"--features {self.features}"] if self.features else []
        words += [f"--on {self.on}"] if self.on else []
        words += [f"--preset {self.preset}"] if self.preset else []
        words += [f"--by {self.by}"] if self.by else []
        return " ".join(filter(None, words))


@dataclass(frozen=True)
class Kind:
    """One report: which options narrow it, whether it has curves to draw, and who makes it."""

    narrowed_by: tuple[str, ...]
    drawn: bool
    make: "Callable[[Engine, Choice], Report]"


def make(engine: "Engine", choice: Choice) -> "Report":
    """Return one report. Raises NothingToReport, and what is wrong with the choice."""
    return replace(KINDS[choice.name].make(engine, choice), command=f"report --{choice.typed}")


def everything(engine: "Engine") -> "tuple[list[Report], list[str]]":
    """Return all reports that have something measured, and for each of the others one line that says why not.

    Raises NothingToReport where nothing is.
    """
    from experiments.errors import ConfigError

    reports: list[Report] = []
    missing: list[str] = []
    for choice in _choices(engine):
        try:
            report = make(engine, choice)
        except (NothingToReport, ConfigError) as why:
            missing.append(f"--{choice.typed}: {why}")
        else:
            if _is_empty(report):
                missing.append(f"--{choice.typed}: type `fsrun queue {choice.name}`, `fsrun worker --drain`")
            else:
                reports.append(report)
    if not reports:
        raise NothingToReport(
            "nothing is measured yet: type `fsrun run synthetic --preset quick`, or `fsrun queue table2 "
            "--preset quick` and `fsrun worker --drain`"
        )
    return reports, missing


def _is_empty(report: "Report") -> bool:
    """Return whether no run stands behind a report, but for the one that the others are compared with."""
    records = [record for record in report.tables[0].records if not record.get("is_base")]
    return not any(record.get("run_ids") or record.get("run_id") for record in records)


def measured_classes(engine: "Engine") -> list[tuple[str, int]]:
    """Return the experiments with classes and the numbers of shots that were measured."""
    from fsrun.report.classes import IMAGE_EXPERIMENTS
    from store.results import finished_results

    places = {name: place for place, name in enumerate(IMAGE_EXPERIMENTS)}
    results = finished_results(engine, name="test/accuracy")
    measured = {
        (each.experiment, each.k_shot)
        for each in results
        if each.k_shot is not None and each.method != "pretrain" and each.experiment != "synthetic"
    }
    return sorted(measured, key=lambda pair: (places.get(pair[0], len(places)), *pair))


def _choices(engine: "Engine") -> Iterator[Choice]:
    """Yield every report once; other ways and shots than those of Table 2 are in the curves by classes."""
    yield from (Choice("table2"), Choice("equal-features"), Choice("budget"))
    classes = [Choice("classes", name, k_shot=k_shot) for name, k_shot in measured_classes(engine)]
    yield from classes or [Choice("classes", "omniglot")]
    yield Choice("ablations")
    yield Choice("when")
    yield from (Choice("protocols", method) for method in _tested_methods(engine))
    yield from map(Choice, ("figure4", "theory", "mixture", "shift"))


def _tested_methods(engine: "Engine") -> list[str]:
    """Return the methods that were put to more than one kind of test."""
    from fsrun.report.protocols import TESTED, protocols
    from store.results import finished_results

    found, measured = [], {each.method for each in finished_results(engine, name="test/accuracy")}
    for method in (*TESTED, *sorted(measured - set(TESTED))):
        with suppress(NothingToReport):
            found += [method] if len(protocols(engine, method).trials) > 1 else []
    return found


def _table2(engine: "Engine", choice: Choice) -> "Report":
    from fsrun.report.report import of_table
    from fsrun.report.table2 import table2

    return of_table("report --table2", table2(engine, n_way=choice.n_way, k_shot=choice.k_shot))


def _equal_features(engine: "Engine", choice: Choice) -> "Report":
    from experiments.equal_features import DATA
    from experiments.errors import unknown_name
    from fsrun.report.equal_features import equal_features, equal_features_table
    from fsrun.report.report import of_table

    if choice.on is not None and choice.on not in DATA:
        raise unknown_name("data of equal-features", choice.on, DATA)
    found = equal_features(engine, choice.on or DATA[0])
    return of_table("report --equal-features", equal_features_table(found))


def _budget(engine: "Engine", choice: Choice) -> "Report":
    from experiments.errors import unknown_name
    from fsrun.report.budget import DATA, budget_report

    if choice.on is not None and choice.on not in DATA:
        raise unknown_name("data of Table 2", choice.on, DATA)
    return budget_report(engine, choice.on or DATA[0])


def _progress(engine: "Engine", choice: Choice) -> "Report":
    from fsrun.report.progress import progress_report

    return progress_report(engine, choice.subject, experiment=choice.on or "omniglot", preset=choice.preset)


def _classes(engine: "Engine", choice: Choice) -> "Report":
    from experiments.errors import unknown_name
    from fsrun.report.classes import IMAGE_EXPERIMENTS
    from fsrun.report.classes_drawing import classes_report

    measured = dict.fromkeys(name for name, _ in measured_classes(engine))
    own = [name for name in measured if name not in IMAGE_EXPERIMENTS]
    known = (*IMAGE_EXPERIMENTS, *own)
    usual = own[0] if own and "imagenet" not in measured else "imagenet"
    experiment = choice.subject or (choice.features if choice.features in own else usual)
    if experiment not in known:
        raise unknown_name("experiment with classes", experiment, known)
    return classes_report(engine, experiment, k_shot=choice.k_shot or 1, features=choice.features)


def _ablations(engine: "Engine", choice: Choice) -> "Report":
    from fsrun.report.ablations import ablations, ablations_table
    from fsrun.report.report import of_table

    return of_table("report --ablations", ablations_table(ablations(engine, run_id=choice.run_id)))


def _when(engine: "Engine", choice: Choice) -> "Report":
    from fsrun.report.report import of_table
    from fsrun.report.when import when, when_table

    return of_table("report --when", when_table(when(engine, run_id=choice.run_id)))


def _protocols(engine: "Engine", choice: Choice) -> "Report":
    from fsrun.report.protocols import protocols, protocols_table
    from fsrun.report.report import of_table

    table = protocols_table(protocols(engine, choice.subject))
    return of_table(f"report --protocols {choice.subject}", table)


def _sweep(engine: "Engine", choice: Choice) -> "Report":
    from fsrun.report.sweep import sweep_report

    by = [name for name in (choice.by or "").replace(",", " ").split() if name]
    return sweep_report(engine, run_id=choice.run_id, by=by)


def _linear(engine: "Engine", choice: Choice) -> "Report":
    from fsrun.report import linear_reports

    made: Report = getattr(linear_reports, f"{choice.name}_report")(engine, run_id=choice.run_id)
    return made


KINDS: Mapping[str, Kind] = {
    "table2": Kind(("n_way", "k_shot"), False, _table2),
    "equal-features": Kind(("on",), False, _equal_features),
    "budget": Kind(("on",), True, _budget),
    "progress": Kind(("on", "preset"), False, _progress),
    "figure4": Kind(("run",), True, _linear),
    "theory": Kind(("run",), False, _linear),
    "mixture": Kind(("run",), True, _linear),
    "shift": Kind(("run",), True, _linear),
    "figure5": Kind(("k_shot", "features"), True, _classes),
    "classes": Kind(("k_shot", "features"), True, _classes),
    "ablations": Kind(("run",), False, _ablations),
    "when": Kind(("run",), False, _when),
    "protocols": Kind((), False, _protocols),
    "sweep": Kind(("run", "by"), True, _sweep),
}
"""The reports, in the order in which they are named."""
