from io import StringIO
from pathlib import Path

import pytest

from experiments.config import ImageRun, PretrainConfig, ProtoNetConfig, config_from_json
from store.jobs import JobStatus
from tests.cli.cli_cases import TINY, Case, Typed, assert_refused

GLYPHS = ("glyphs", "--preset", "quick", "--set", "alphabets=10", "--set", "characters=12")


def stored(home: Case) -> list[ImageRun]:
    """Return the configs of all runs, the first run first."""
    configs = [config_from_json(home.run(number + 1).spec.config) for number in range(len(home.statuses()))]
    return [config for config in configs if isinstance(config, ImageRun)]


def test_a_sweep_is_the_product_of_its_lists(typed: Typed, home: Case) -> None:
    lists = ("--method", "pixel-knn,protonet", "--n-way", "5,10", "--k-shot", "1,2", "--seeds", "3")
    answer = typed("queue", *GLYPHS, *lists)
    assert (answer.code, answer.err) == (0, "")
    configs = [config for config in stored(home) if config.trained_by or config.method.name == "pixel-knn"]
    asked = {(c.method.name, c.evaluation.n_way, c.evaluation.k_shot, c.seed) for c in configs}
    assert len(asked) == len(configs) == 24
    assert {n_way for _, n_way, _, _ in asked} == {5, 10}
    assert {seed for _, _, _, seed in asked} == {0, 1, 2}


def test_a_list_of_a_setting_is_swept_for_the_methods_that_have_it(typed: Typed, home: Case) -> None:
    answer = typed("queue", *GLYPHS, "--method", "pixel-knn,protonet", "--set", "protonet.lr=0.01,0.1")
    assert answer.code == 0
    rates = [config.method.lr for config in stored(home) if isinstance(config.method, ProtoNetConfig)]
    assert rates == [0.01, 0.1]
    assert len(stored(home)) == 3  # Pixel-KNN has no such option, and runs once


def test_more_random_draws_add_to_those_that_are_there(typed: Typed, home: Case) -> None:
    words = ("queue", *GLYPHS, "--method", "protonet", "--set", "lr=1e-4..1e-1:log", "--seeds", "2")
    shown = typed(*words, "--random", "2", "--dry-run").out
    assert typed(*words, "--random", "2", "-q").out == "1\n2\n3\n4\n"
    assert typed(*words, "--random", "3", "-q").out == "5\n6\n"
    rates = [config.method.lr for config in stored(home) if isinstance(config.method, ProtoNetConfig)]
    assert rates[::2] == rates[1::2]  # two seeds
    assert len({*rates}) == 3
    assert all(1e-4 <= rate <= 1e-1 for rate in rates)
    assert home.run(3).spec.variant.startswith(f"lr={rates[2]}")
    assert f"lr={rates[2]}" in shown
    assert_refused(typed(*words), "is a range", "--random")
    assert_refused(typed("run", *words[1:]), "is a range", "fsrun queue --random")
    assert_refused(typed("queue", *GLYPHS, "--random", "3"), "--random", "range")
    assert_refused(typed("queue", "table2", "--random", "3"), "--random", "study")


def test_a_dry_run_shows_the_sweep_and_stores_nothing(typed: Typed, home: Case) -> None:
    answer = typed("queue", *GLYPHS, "--method", "fastslow,protonet", "--n-way", "5,10", "--dry-run")
    assert (answer.code, answer.err) == (0, "")
    head, *rows, effort, last = answer.out.splitlines()
    assert effort.startswith("3 trainings")
    assert head.split() == ["method", "n-way", "k-shot", "seed", "steps", "starts", "from"]
    assert [row.split()[:2] for row in rows] == [["Fast/Slow", "5"], ["Fast/Slow", "10"]] + [
        ["Prototypical", "Net"]
    ] * 2
    assert last == "Dry run: nothing was stored."
    assert not home.root.exists()


def test_a_pre_training_is_listed_with_the_seed_it_draws_from(typed: Typed, home: Case) -> None:
    answer = typed("queue", *GLYPHS, "--method", "fastslow", "--seeds", "2", "--set", "pretrain.seed=null")
    assert answer.code == 0
    specs = [home.run(number).spec for number in range(1, 5)]
    assert [(spec.method, spec.seed) for spec in specs] == [
        ("pretrain", 0),
        ("fastslow", 0),
        ("pretrain", 1),
        ("fastslow", 1),
    ]


def test_what_tells_the_runs_of_a_sweep_apart_is_shown_but_not_what_is_the_same_for_all(typed: Typed) -> None:
    swept = (
        "--set",
        "sampling=mixed,within-alphabet",
        "--set",
        "protonet.lr=0.01,0.1",
        "--set",
        "episodes=8",
    )
    answer = typed("queue", *GLYPHS, "--method", "pixel-knn,protonet", "--n-way", "5", *swept, "--dry-run")
    assert answer.code == 0
    rows = answer.out.splitlines()[1:7]
    assert [row.rstrip().rpartition("  ")[2] for row in rows] == [
        "sampling=mixed",
        "sampling=within-alphabet",
        "sampling=mixed, protonet.lr=0.01",
        "sampling=mixed, protonet.lr=0.1",
        "sampling=within-alphabet, protonet.lr=0.01",
        "sampling=within-alphabet, protonet.lr=0.1",
    ]


def test_a_run_keeps_what_tells_it_from_its_preset_and_lists_show_it_where_there_is_room(
    typed: Typed, home: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    glyphs = ("queue", "glyphs", "--preset", "quick", "--n-way", "5")
    typed(
        *glyphs,
        "--method",
        "protonet",
        "--set",
        "protonet.lr=0.01,0.1",
        "--set",
        "episodes=8",
        "--seeds",
        "2",
    )
    typed(*glyphs, "--method", "fastslow", "--set", "pretrain.filters=8", "--set", "pretrain.seed=null")
    typed(*glyphs, "--method", "pixel-knn")
    variants = [home.run(each).spec.variant for each in range(1, 8)]
    assert variants == [
        *["protonet.lr=0.01, episodes=8"] * 2,
        *["protonet.lr=0.1, episodes=8"] * 2,
        "filters=8",
        "pretrain.filters=8, pretrain.seed=null",
        "",
    ]
    assert "protonet.lr=0.1, episodes=8" in typed("show", "3").out
    head, *rows = typed("ls").out.splitlines()
    assert [row[head.index("variant") : head.index("progress")].strip() for row in reversed(rows)] == variants
    for columns, shown in ((110, "pretrain.filters=8, pretrai…"), (80, "")):
        monkeypatch.setattr("fsrun.cli.tables.PIPE_WIDTH", columns)
        lines = typed("ls").out.splitlines()
        assert {len(line) for line in lines} <= {columns}
        assert shown in lines[2]
        assert ("variant" in lines[0]) is bool(shown)


def test_seeds_are_counted_or_named_and_a_pre_training_has_its_own(typed: Typed, home: Case) -> None:
    glyphs = ("queue", "glyphs", "--preset", "quick", "--n-way", "5")
    assert typed(*glyphs, "--method", "protonet", "--set", "seed=7,2", "--set", "lr=0.1").code == 0
    assert typed(*glyphs, "--method", "pretrain", "--set", "seed=3").code == 0
    assert [(each.seed, each.data.model_dump()["seed"], each.evaluation.seed) for each in stored(home)] == [
        (7, 0, 0), (2, 0, 0), (0, 0, 0)
    ]  # fmt: skip
    assert [home.run(each).spec.seed for each in (1, 2, 3)] == [7, 2, 3]
    assert home.run(1).spec.group_hash == home.run(2).spec.group_hash
    assert_refused(
        typed(*glyphs, "--seeds", "2", "--set", "seed=7"), "--seeds 2 counts from 0", "leave out one"
    )
    assert_refused(typed(*glyphs, "--set", "seed=-1"), "seed", "greater than or equal to 0")
    assert_refused(typed(*glyphs, "--method", "protonet", "--set", "protonet.seed=7"), "protonet.seed")
    assert typed(*glyphs, "--set", "evaluation.seed=7", "--set", "data.seed=5").code == 0
    assert (stored(home)[-1].evaluation.seed, stored(home)[-1].seed) == (7, 0)


def test_a_dry_run_needs_no_data(typed: Typed, home: Case) -> None:
    answer = typed("queue", "omniglot", "--preset", "quick", "--method", "pixel-knn,fastslow", "--dry-run")
    assert (answer.code, answer.err) == (0, "")
    assert not home.root.exists()


def test_runs_that_need_the_same_pre_training_share_one(typed: Typed, home: Case) -> None:
    answer = typed("queue", *GLYPHS, "--method", "fastslow", "--seeds", "2")
    assert "Queued runs 2, 3; waiting for run 1." in answer.words
    names = [config.method.name for config in stored(home)]
    assert names == ["pretrain", "fastslow", "fastslow"]
    assert [home.run(number).parents for number in range(1, 4)] == [(), (1,), (1,)]
    again = typed("queue", *GLYPHS, "--method", "fastslow", "--k-shot", "2")
    assert "Queued run 4; starting from run 1, already there." in again.words
    typed("queue", *GLYPHS, "--method", "cnn-nn")
    assert home.run(5).parents == (1,)  # the very features fast/slow starts from


def test_runs_that_differ_only_in_their_episodes_measure_one_model(typed: Typed, home: Case) -> None:
    answer = typed("queue", *GLYPHS, "--method", "fastslow", "--n-way", "5,20,90", "--seeds", "2")
    assert (answer.code, answer.err) == (0, "")
    runs = [home.run(number) for number in range(1, len(home.statuses()) + 1)]
    trained = [run for run in runs if run.spec.total_steps and run.spec.method == "fastslow"]
    measured = [run for run in runs if not run.spec.total_steps]
    assert [run.spec.seed for run in trained] == [0, 1]
    assert len(runs) == 1 + 2 + 6  # one pre-training for all
    assert {(run.spec.n_way, run.spec.seed, run.parents) for run in measured} == {
        (n_way, run.spec.seed, (run.id,)) for run in trained for n_way in (5, 20, 90)
    }


def test_a_later_list_measures_the_model_that_the_default_command_trained(typed: Typed, home: Case) -> None:
    typed("queue", *GLYPHS, "--method", "protonet")
    answer = typed("queue", *GLYPHS, "--method", "protonet", "--n-way", "5,10")
    assert "Queued runs 2, 3; starting from run 1, already there." in answer.words


def test_a_pre_training_with_other_options_is_another_run(typed: Typed, home: Case) -> None:
    typed("queue", *GLYPHS, "--method", "fastslow", "--set", "pretrain.steps=10,20")
    steps = [config.method.steps for config in stored(home) if isinstance(config.method, PretrainConfig)]
    assert sorted(steps) == [10, 20]


def test_settings_reach_the_config_by_short_and_by_full_name(typed: Typed, home: Case) -> None:
    typed("queue", *GLYPHS, "--method", "protonet", "--set", "lr=0.5", "--set", "method.jitter.shift=3")
    config = stored(home)[0]
    assert isinstance(config.method, ProtoNetConfig)
    assert (config.method.lr, config.method.jitter.shift, config.data.class_count("test")) == (0.5, 3, 96)


def test_priority_is_kept_and_the_run_it_needs_gets_it_too(typed: Typed, home: Case) -> None:
    typed("queue", *GLYPHS, "--method", "fastslow")
    typed("queue", *GLYPHS, "--method", "fastslow", "--seeds", "2", "--priority", "5", "--again")
    assert [home.run(number).priority for number in (1, 2, 3, 4)] == [5, 0, 5, 5]


def test_queued_runs_get_another_priority_and_what_they_wait_for_is_begun_before_them(
    typed: Typed, home: Case
) -> None:
    typed("queue", "synthetic", *TINY, "--set", "slow_lr=0.001,0.002")
    typed("queue", *GLYPHS, "--method", "fastslow")
    assert typed("priority", "5", "4", "2", "4").out == "Runs 2, 4 now have priority 5.\n"
    assert [home.run(number).priority for number in (1, 2, 3, 4)] == [0, 5, 5, 5]
    assert typed("priority", "-3", "2").out == "Run 2 now has priority -3.\n"
    assert home.run(2).priority == -3
    assert "priority -3" in typed("show", "2").words
    assert_refused(typed("priority", "9", "1", "99"), "no run 99")
    assert home.run(1).priority == 0


def test_a_config_that_is_there_is_queued_again_only_where_a_script_says_so(typed: Typed, home: Case) -> None:
    typed("queue", "synthetic", *TINY)
    again = typed("queue", "synthetic", *TINY)
    assert_refused(again, "run 1 has this config (queued)", "--again")
    assert again.code == 1
    assert home.statuses() == [JobStatus.QUEUED]
    assert typed("queue", "synthetic", *TINY, "--again").code == 0
    assert len(home.statuses()) == 2
    typed("cancel", "1", "2")
    assert typed("queue", "synthetic", *TINY).code == 0  # a cancelled run stands in nobody's way


def test_of_a_sweep_only_what_is_not_there_is_queued(typed: Typed, home: Case) -> None:
    typed("queue", "synthetic", *TINY, "--set", "slow_lr=0.001,0.002")
    answer = typed("queue", "synthetic", *TINY, "--set", "slow_lr=0.001,0.002,0.003")
    assert answer.code == 0
    assert "Runs 1, 2 have these configs (queued): not queued again" in answer.words
    assert "Queued run 3" in answer.words
    assert home.run(3).spec.variant.startswith("slow_lr=0.003")


@pytest.mark.parametrize(("typed_in", "runs"), [("y", 2), ("n", 1)])
def test_at_a_terminal_one_is_asked_whether_a_config_is_queued_again(
    typed: Typed, home: Case, monkeypatch: pytest.MonkeyPatch, typed_in: str, runs: int
) -> None:
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    typed("queue", "synthetic", *TINY)
    monkeypatch.setattr("sys.stdin", Terminal(f"{typed_in}\n"))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    answer = typed("queue", "synthetic", *TINY)
    assert answer.code == 0
    assert "Run 1 has this config (queued). Queue it again? [y/N]" in answer.words
    assert len(home.statuses()) == runs


def test_a_value_counts_once_however_it_is_written(typed: Typed, home: Case) -> None:
    typed("queue", "synthetic", *TINY, "--set", "slow_lr=10,10.0,20")
    assert [home.run(number).spec.variant for number in (1, 2)] == [
        f"slow_lr={rate}, episodes=50, steps=400" for rate in ("10.0", "20.0")
    ]
    assert len(home.statuses()) == 2


def test_nothing_is_stored_when_one_run_of_the_sweep_is_wrong(typed: Typed, home: Case) -> None:
    assert typed("queue", *GLYPHS, "--method", "pixel-knn", "--n-way", "5,5000").code == 2
    assert home.statuses() == []


def test_a_cancelled_run_is_queued_again_by_retry(typed: Typed, home: Case) -> None:
    typed("queue", "synthetic", *TINY, "--set", "slow_lr=0.001,0.002")
    assert typed("cancel", "1", "2").out == "Runs 1, 2 are cancelled.\n"
    assert home.statuses() == [JobStatus.CANCELLED] * 2
    assert typed("ls", "--status", "queued").out == "No runs are queued.\n"
    assert typed("retry", "2").out == "Run 2 is queued again.\n"
    assert home.statuses() == [JobStatus.CANCELLED, JobStatus.QUEUED]


@pytest.mark.parametrize("order", ["cancel", "retry"])
def test_an_order_about_several_runs_reaches_all_that_can_obey_and_names_the_others(
    typed: Typed, home: Case, order: str
) -> None:
    typed("queue", "synthetic", *TINY, "--set", "slow_lr=0.001,0.002")
    if order == "retry":
        typed("cancel", "1", "2")
    answer = typed(order, "1", "99", "2")
    assert answer.code == 1
    assert "runs 1, 2 are" in answer.err
    assert "there is no run 99" in answer.err
    assert home.statuses() == [JobStatus.CANCELLED if order == "cancel" else JobStatus.QUEUED] * 2


def test_retry_of_a_run_queues_the_cancelled_run_it_starts_from_too(typed: Typed, home: Case) -> None:
    typed("queue", *GLYPHS, "--method", "fastslow")
    typed("cancel", "1", "2")
    assert typed("retry", "2").out == "Run 2 is queued again, with run 1 which it starts from.\n"
    assert home.statuses() == [JobStatus.QUEUED] * 2


def test_ls_shows_the_newest_run_first_and_what_each_waits_for(typed: Typed) -> None:
    typed("queue", *GLYPHS, "--method", "fastslow", "--seeds", "2")
    head, *rows = typed("ls").out.splitlines()
    assert head.split()[:2] == ["run", "status"]
    assert [row.split()[0] for row in rows] == ["3", "2", "1"]
    assert "for 1" in rows[0]
    assert "for 1" not in rows[2]
    limited = typed("ls", "--limit", "1").out.splitlines()
    assert limited[1].split()[0] == "3"
    assert limited[-1] == "newest 1 of 3; --limit 0 for all"


def test_the_database_may_lie_elsewhere(
    typed: Typed, home: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FSRUN_DB_URL", f"sqlite:///{tmp_path / 'elsewhere.db'}")
    assert typed("queue", "synthetic", *TINY).code == 0
    assert (tmp_path / "elsewhere.db").is_file()
    assert not (home.root / "fsrun.db").exists()
