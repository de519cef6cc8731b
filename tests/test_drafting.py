"""What is wrong with runs as they are being asked for, and what they make."""

from pathlib import Path

import pytest

from experiments.config import SyntheticRun, config_to_json
from experiments.sweeps import Sweep, plan
from fsrun.drafting import Checked, Draft, check, differences, draft_of, new_draft
from fsrun.paths import Home

GLYPHS = Draft("glyphs", "protonet", "quick")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def configs(checked: Checked) -> list[str]:
    return [config_to_json(each.config) for each in checked.planned]


def test_a_new_draft_is_what_the_command_would_queue(home: Home) -> None:
    checked = check(new_draft(), home)
    assert checked.faults == {}
    assert configs(checked) == [config_to_json(plan(Sweep("synthetic", preset="quick"))[0].config)]


def test_lists_and_seeds_are_swept(home: Home) -> None:
    draft = GLYPHS.with_change("method.lr", "0.1,0.01").with_word("seeds", "3")
    checked = check(draft, home)
    wanted = Sweep("glyphs", ("protonet",), "quick", seeds=3, settings={"method.lr": [0.1, 0.01]})
    assert configs(checked) == [config_to_json(each.config) for each in plan(wanted)]
    assert checked.says[0].startswith("6 trainings; ")


def test_the_fault_of_one_option_is_beside_it_in_the_librarys_words(home: Home) -> None:
    draft = GLYPHS.with_change("method.lr", "-1").with_change("method.filters", "32")
    checked = check(draft, home)
    assert checked.faults == {"method.lr": "lr = -1: input should be greater than 0"}
    assert checked.planned == ()
    assert checked.options  # so that the form goes on showing them


def test_a_fault_of_options_together_is_one_of_the_whole(home: Home) -> None:
    draft = GLYPHS.with_change("evaluation.k_shot", "10").with_change("evaluation.n_query", "15")
    faults = check(draft, home).faults
    assert list(faults) == [""]
    assert "is 25 images a class" in faults[""]


def test_options_that_need_each_other_may_be_written_one_after_the_other(home: Home) -> None:
    draft = new_draft().with_change("data.spectrum", "[1,2]")
    assert list(check(draft, home).faults) == ["data.spectrum"]
    assert check(draft.with_change("data.dimension", "2"), home).faults == {}


def test_counts_are_whole_numbers_within_bounds(home: Home) -> None:
    draft = GLYPHS.with_word("seeds", "many").with_word("priority", "1e3")
    assert check(draft, home).faults == {
        "seeds": "seeds 'many' is not a whole number from 1 to 1,000",
        "priority": "priority '1e3' is not a whole number from -1,000 to 1,000",
    }
    assert check(GLYPHS.with_word("priority", "-5"), home).priority == -5


def test_what_no_worker_here_could_run_is_refused_as_the_command_refuses_it(home: Home) -> None:
    faults = check(Draft("omniglot", "pixel-knn", "quick"), home).faults
    assert "fsrun data import omniglot" in faults[""]


def test_a_copy_differs_from_its_source_in_what_was_written_alone(home: Home) -> None:
    source = plan(Sweep("synthetic", preset="quick", settings={"method.slow_lr": [0.003]}))[0]
    draft = draft_of(7, "quick", config_to_json(source.config))
    untouched = check(draft, home)
    assert configs(untouched) == [config_to_json(source.config)]
    assert differences(untouched) == []
    edited = check(draft.with_change("method.slow_lr", "0.01,0.02").with_word("seeds", "4"), home)
    assert differences(edited) == ["method.slow_lr 0.003 → 0.01,0.02"]
    runs = [each.config for each in edited.planned if isinstance(each.config, SyntheticRun)]
    assert [(run.method.slow_lr, run.seeds, run.method.steps) for run in runs] == [
        (0.01, 4, 20_000),
        (0.02, 4, 20_000),
    ]


def test_a_change_back_to_nothing_is_none() -> None:
    assert GLYPHS.with_change("method.lr", "0.1").with_change("method.lr", " ") == GLYPHS
