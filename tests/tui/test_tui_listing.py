"""What the list of runs is made from: searching, folding, sorting, columns; each with known answers."""

from dataclasses import replace

import pytest

from fsrun.report.measured import combine
from fsrun.tui.columns import COLUMNS, column, layout
from fsrun.tui.groups import grouped
from fsrun.tui.listing import GroupLine, RunLine, View, entries_of, lines_of
from fsrun.tui.search import KEYS, Entry, matcher
from store.jobs import JobStatus
from store.results import finished_results
from store.snapshot import snapshot
from store.views import RunRow
from tests.tui.tui_cases import Lab


def rows(lab: Lab) -> tuple[RunRow, ...]:
    return snapshot(lab.engine, now=lab.now).runs


def entries(lab: Lab, marked: frozenset[int] = frozenset()) -> tuple[Entry, ...]:
    return entries_of(snapshot(lab.engine, now=lab.now), marked)


@pytest.fixture
def mixed(lab: Lab) -> Lab:
    """Run 1 done, 2 failed, 3 running on a cpu, all of one config; 4 and 5 queued, of two others."""
    done, failed, running = lab.ask("omniglot", "protonet", seeds=3)
    lab.finish(lab.work(done), "test/accuracy", 0.96)
    lab.fail(lab.work(failed), "ValueError: nan in the loss")
    lab.report(lab.work(running), range(20, 101, 20), {"train/loss": lambda step: 1.0 / step})
    lab.ask("glyphs", "maml")
    lab.ask("synthetic")
    return lab


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {1, 2, 3, 4, 5}),
        ("status:failed", {2}),
        ("status:failed,running", {2, 3}),
        ("method:maml", {4}),
        ("METHOD:ProtoNet seed:1", {2}),
        ("prototypical", {1, 2, 3}),
        ("omniglot -status:done", {2, 3}),
        ("-omniglot", {4, 5}),
        ("nan loss", {2}),
        ("device:cpu", {3}),
        ("id:1", {1}),
        ("20-way", {1, 2, 3, 4}),
        ("task:20w1s glyphs", {4}),
        ("is:marked", {5}),
        ("status:", {1, 2, 3, 4, 5}),
        ("unknown:key", set()),
    ],
)
def test_a_search_finds_what_all_its_words_hold_for(mixed: Lab, query: str, found: set[int]) -> None:
    meets = matcher(query)
    assert {each.row.id for each in entries(mixed, frozenset({5})) if meets(each)} == found


def test_tags_and_notes_are_found_by_their_keys_and_as_free_words(mixed: Lab) -> None:
    first, second, *_ = entries(mixed)
    tagged = replace(first, row=replace(first.row, tags=("paper",), note="the first that converged"))
    for query in ("tag:paper", "note:converged", "paper first"):
        assert [matcher(query)(each) for each in (tagged, second)] == [True, False]


def test_every_key_of_the_search_can_be_asked_of_every_run(mixed: Lab) -> None:
    for key in KEYS:
        assert all(isinstance(matcher(f"{key}:zzz")(each), bool) for each in entries(mixed))


def test_a_group_has_the_mean_and_interval_of_the_report_over_its_seeds(lab: Lab) -> None:
    values = (0.96, 0.97, 0.95)
    for run_id, value in zip(lab.ask("omniglot", "protonet", seeds=3), values, strict=True):
        lab.finish(lab.work(run_id), "test/accuracy", value)
    (group,) = grouped(entries(lab))
    measured = combine(finished_results(lab.engine, name="test/accuracy"))
    assert group.outcome is not None
    assert group.outcome.mean == pytest.approx(0.96)
    # Student's t for two degrees of freedom is 4.303; the standard error is 0.01 / sqrt(3).
    assert group.outcome.interval == pytest.approx((4.3027**2 * 1e-4 / 3 + 0.0012**2) ** 0.5, rel=1e-4)
    assert (group.outcome.mean, group.outcome.interval) == pytest.approx((measured.mean, measured.interval))


def test_a_group_counts_its_runs_and_how_much_of_all_their_steps_is_done(mixed: Lab) -> None:
    group = grouped(entries(mixed))[-1]
    assert group.counts == {JobStatus.DONE: 1, JobStatus.FAILED: 1, JobStatus.RUNNING: 1}
    running = next(row for row in rows(mixed) if row.status is JobStatus.RUNNING)
    assert group.share == pytest.approx((1 + 0 + 100 / running.total_steps) / 3)
    assert group.first is not running
    assert group.first.id == running.id
    assert group.rate == 4.0


def test_unfolding_a_group_lists_its_runs_below_it(mixed: Lab) -> None:
    listed = entries(mixed)
    folded = lines_of(listed, View(folded=True))
    assert [line.run_ids for line in folded] == [(5,), (4,), (3, 2, 1)]
    assert isinstance(folded[2], GroupLine)
    unfolded = lines_of(listed, View(folded=True, unfolded=frozenset({folded[2].group.key})))
    assert [line.run_ids[0] for line in unfolded[3:]] == [3, 2, 1]
    assert all(isinstance(line, RunLine) and line.nested for line in unfolded[3:])


@pytest.mark.parametrize("name", [each.name for each in COLUMNS])
@pytest.mark.parametrize("folded", [False, True])
def test_by_every_column_runs_sort_both_ways_and_those_without_a_value_stay_last(
    mixed: Lab, name: str, folded: bool
) -> None:
    by = column(name)
    for descending in (False, True):
        view = View(sort=name, descending=descending, folded=folded)
        lines = lines_of(entries(mixed), view)
        assert len(lines) == (3 if folded else 5)
        keys = [
            by.group_key(line.group) if isinstance(line, GroupLine) else by.key(line.entry) for line in lines
        ]
        having = [key for key in keys if key is not None]
        assert keys[len(having) :] == [None] * (len(keys) - len(having))
        assert having == sorted(having, reverse=descending)


def test_what_needs_a_person_comes_first_when_sorted_by_status(mixed: Lab) -> None:
    lines = lines_of(entries(mixed), View(sort="status", descending=False))
    assert [line.run_ids[0] for line in lines] == [3, 2, 5, 4, 1]


@pytest.mark.parametrize("variant", [0, 4, 60])
def test_columns_fill_the_width_and_never_more(variant: int) -> None:
    every = [each.name for each in COLUMNS if variant or each.name != "variant"]
    for width in range(56, 260):
        shown = layout(width, variant)
        assert sum(each.width + 1 for each in shown) <= width
        names = {each.name for each in shown}
        assert [each.name for each in shown] == [name for name in every if name in names]
    assert {"id", "method", "status", "newest"} <= {each.name for each in layout(56, variant)}
    assert [each.name for each in layout(220, variant)] == every


def test_a_variant_has_the_room_it_needs_before_columns_that_say_less() -> None:
    def widths(columns: int, variant: int) -> dict[str, int]:
        return {each.name: each.width for each in layout(columns, variant)}

    assert {"experiment", "task", "seed", "preset"} <= widths(84, 0).keys()
    assert widths(84, 60)["variant"] == 17
    assert widths(84, 12)["variant"] == 12
    assert widths(120, 60)["variant"] == 27
    assert {"task", "experiment", "seed"} <= widths(120, 60).keys()


def test_an_entry_that_looks_as_before_is_the_same_object_and_one_that_fell_silent_is_not(lab: Lab) -> None:
    (run_id,) = lab.ask("synthetic")
    lab.work(run_id)
    before = entries(lab)
    lab.now += 5
    soon = entries_of(snapshot(lab.engine, now=lab.now), frozenset(), before)
    assert soon[0] is before[0]
    lab.now += 500
    late = entries_of(snapshot(lab.engine, now=lab.now), frozenset(), soon)
    assert late[0] is not soon[0]
