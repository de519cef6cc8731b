import pytest

from tests.cli.cli_cases import Case, Typed, in_its_own_process

COMMANDS = (
    "queue", "run", "worker", "tui", "report", "compare", "rerun", "ls", "show", "logs", "cancel", "retry",
    "priority", "pause", "resume", "watch", "note", "tag", "rm", "gc", "doctor", "export", "classify",
    "data", "data list", "data import", "data fetch", "data verify",
    "db", "db check", "db backup", "db restore", "db upgrade",
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_ends_with_an_example_of_it(typed: Typed, home: Case, command: str) -> None:
    answer = typed(*command.split(), "--help")
    assert answer.code == 0
    assert f"Example: fsrun {command}" in answer.words
    assert not home.root.exists()  # looking for help writes nothing


def test_help_names_every_command_and_the_first_steps(typed: Typed) -> None:
    answer = typed("--help")
    listed = {line.split()[0] for line in answer.out.splitlines() if line.startswith("  ") and line.split()}
    assert {command.partition(" ")[0] for command in COMMANDS} <= listed
    assert "fsrun run synthetic --preset quick" in answer.words


def test_no_words_at_all_show_the_help(typed: Typed) -> None:
    assert typed() == typed("--help")
    assert typed("data") == typed("data", "--help")
    assert typed("db") == typed("db", "--help")


def test_every_example_in_the_help_of_queue_and_run_can_be_planned(typed: Typed) -> None:
    for command in ("queue", "run"):
        example = typed(command, "--help").words.rpartition(f"Example: fsrun {command} ")[2]
        assert "fsrun" not in example
        answer = typed("queue", *example.split(), "--dry-run")
        assert (answer.code, answer.err) == (0, "")


def test_python_m_fsrun_is_the_same_command(home: Case) -> None:
    answer = in_its_own_process(home, "ls")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == "No runs yet: try fsrun queue synthetic --preset quick\n"


@pytest.mark.parametrize("group", ["", "data", "db"])
def test_every_command_is_listed_with_a_whole_sentence_at_80_columns(
    typed: Typed, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = typed(*group.split(), "--help").out.partition("Commands:")[2].splitlines()
    assert [line for line in lines if line.endswith("...") or len(line) > 80] == []
