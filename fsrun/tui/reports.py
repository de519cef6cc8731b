"""The reports on screens, made anew only where the runs behind them have changed.

Not here: what is in a report (fsrun.report), and drawing. Nothing here belongs on the thread that draws.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Engine

from experiments.errors import ConfigError
from experiments.table2 import SHAPES
from fsrun.errors import FsrunError
from fsrun.report.catalogue import measured_classes
from fsrun.report.classes import IMAGE_EXPERIMENTS
from fsrun.report.render import Table, to_csv, to_json, to_markdown
from fsrun.report.rows import rows
from fsrun.report.table2 import table2
from fsrun.tui.exporting import of_chart, of_table, of_text
from fsrun.tui.pages import Page
from store.jobs import JobStatus
from store.results import finished_results, measured_runs
from store.snapshot import Snapshot
from store.views import RunRow

if TYPE_CHECKING:
    from fsrun.report.figure4 import Figure4

Made = TypeVar("Made")

MAX_POINTS = 400


class Reports:
    """The reports on one database, for one thread at a time.

    Each is made from finished runs, which never change, or from how far the running ones are: it is kept
    while these are the same.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._kept: dict[str, tuple[Hashable, object]] = {}

    def table2(self) -> tuple[Table, ...]:
        """Return the paper's table, then one for every other way and shot that was measured."""
        runs = measured_runs(self.engine, "omniglot")
        return self._unless_kept("table2", runs, partial(_tables, self.engine))

    def stories(self) -> Mapping[str, tuple[str, ...]]:
        """Return the paragraphs that tell each row of Table 2, by the row's name."""
        runs = measured_runs(self.engine, "omniglot")
        return self._unless_kept("stories", runs, partial(_stories, self.engine))

    def classes(self) -> tuple[Page, ...]:
        """Return accuracy by number of classes, a page for each experiment and number of shots."""
        runs = measured_runs(self.engine)
        return self._unless_kept("classes", runs, lambda: tuple(_class_pages(self.engine)))

    def theory(self, taken: Snapshot) -> tuple[Page, ...]:
        """Return the case study of the selected run if it is synthetic, else of the newest, beside theory."""
        row = taken.selected.row if taken.selected else None
        chosen = row is not None and row.experiment == "synthetic" and bool(row.latest or row.results)
        shown = [row] if row is not None and chosen else [each for each in taken.runs if _is_going_on(each)]
        known = (
            measured_runs(self.engine, "synthetic"),
            *((each.id, each.status, each.step) for each in shown),
        )
        run_id = row.id if row is not None and chosen else None
        return self._unless_kept("theory", known, lambda: (self._theory(run_id),))

    def _unless_kept(self, name: str, known: Hashable, make: Callable[[], Made]) -> Made:
        """Return what was made from the same before, else make it."""
        then, made = self._kept.get(name, (None, None))
        if then != known:
            made = make()
            self._kept[name] = known, made
        return made  # type: ignore[return-value]  # each name has one maker

    def _theory(self, run_id: int | None) -> Page:
        from fsrun.report.figure4 import Figure4  # numpy: only where it is looked at
        from fsrun.report.prediction import Prediction
        from fsrun.report.study import find_study
        from fsrun.report.verdicts import claims

        try:
            study = find_study(self.engine, run_id, max_points=MAX_POINTS)
        except (FsrunError, ConfigError) as error:
            return Page(hint=str(error))
        seeds = tuple(run.spec.seed for run in study.runs) if len(study.runs) > 1 else ()
        # A running study is shown on its whole way, so that what theory expects is worked out only once.
        log_every, last = study.config.method.log_every, study.runs[0].spec.total_steps
        steps = study.bands["loss_ratio"].steps if study.results else tuple(range(log_every, last, log_every))
        way = study.config.model_dump_json(), seeds, steps
        prediction = Prediction(study.config, seeds)
        expected = self._unless_kept("expected", way, lambda: prediction.curve(steps))
        return _theory_page(
            self.engine, Figure4(study, prediction, expected, claims(study, prediction, expected))
        )


def _is_going_on(row: RunRow) -> bool:
    return row.experiment == "synthetic" and row.status is JobStatus.RUNNING


def _tables(engine: Engine) -> tuple[Table, ...]:
    results = finished_results(engine, experiment="omniglot", name="test/accuracy")
    shapes = {(each.n_way, each.k_shot) for each in results if each.method != "pretrain"} - set(SHAPES)
    others = sorted((n_way, k_shot) for n_way, k_shot in shapes if n_way is not None and k_shot is not None)
    return table2(engine), *(table2(engine, n_way=n_way, k_shot=k_shot) for n_way, k_shot in others)


def _stories(engine: Engine) -> dict[str, tuple[str, ...]]:
    from fsrun.report.explained import measured_here
    from fsrun.report.stories import story

    lines = rows(engine)
    alike = {line.method: [each for each in lines if each.method == line.method] for line in lines}
    return {line.name: (*story(line.method), *measured_here(alike[line.method])) for line in lines}


def _class_pages(engine: Engine) -> Iterator[Page]:
    for name, k_shot in measured_classes(engine) or [(IMAGE_EXPERIMENTS[0], 1)]:
        yield _class_page(engine, name, k_shot)


def _class_page(engine: Engine, experiment: str, k_shot: int) -> Page:
    from fsrun.report.classes import classes, classes_table
    from fsrun.report.classes_drawing import draw_classes, plots

    title = f"{experiment}, {k_shot}-shot"
    try:
        found = classes(engine, experiment, k_shot=k_shot)
    except (FsrunError, ConfigError) as error:
        return Page(title, hint=str(error))
    table = classes_table(found)
    return Page(
        title, plots(found), (table,), exports=of_table(table) + of_chart(partial(draw_classes, found))
    )


def _theory_page(engine: Engine, figure: "Figure4") -> Page:
    from fsrun.report.figure4 import document, points, summary, verdicts
    from fsrun.report.figure4_drawing import plots
    from fsrun.report.pictures import draw_figure4
    from fsrun.report.theory import theory

    study = figure.study
    tables = [verdicts(figure), summary(figure)]
    if study.results:
        tables.append(theory(engine, run_id=study.runs[0].id))
    data, runs = study.config.data, "run" if len(study.runs) == 1 else "runs"
    over = f", {study.seeds} seeds" if study.seeds > 1 else ""
    title = f"{runs} {study.run_ids}{over}: d = {data.dimension}, k = {data.batch_size}, noise {data.noise:g}"
    title += f", η = {study.config.method.fast_lr:g}"
    exports = (
        *of_chart(partial(draw_figure4, figure)),
        of_text("table of points", ".csv", lambda: to_csv(points(figure))),
        of_text("report", ".md", lambda: "\n\n".join(map(to_markdown, tables))),
        of_text("report", ".json", lambda: to_json(document(figure))),
    )
    return Page(title, plots(figure), tuple(tables), exports=exports)
