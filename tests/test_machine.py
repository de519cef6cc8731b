"""What operating systems do differently, and what the user's own folder must not do to a command."""

import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments.errors import ConfigError
from experiments.machine import expanded, locked, python_command, requested_threads, usable_cores
from fsrun.errors import UsageError
from fsrun.provenance import _commit
from fsrun.tui.database import Database
from fsrun.worker.devices import check_device
from fsrun.worker.launcher import command
from fsrun.worker.process import RunnerProcess
from store.jobs import JobStatus
from tests.cli.cli_cases import TINY, Case, assert_refused, in_its_own_process
from tests.worker.worker_cases import wait_until

ROOT = Path(__file__).parents[1]

MACOS = """
import os, signal
del os.sched_getaffinity, os.sched_setaffinity, signal.sigwaitinfo, signal.sigtimedwait
"""
"""What macOS lacks and Linux has; as a sitecustomize.py every Python process runs it at its start."""

NOBODY = """
import pwd
def getpwuid(uid):
    raise KeyError(uid)
pwd.getpwuid = getpwuid
"""
"""A user who is a bare number, as in many containers."""

WAITS_FOR_ITS_LAUNCHER = """
import os, signal, sys
from fsrun.worker.launcher import _end_when_told
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print("ready", flush=True)
_end_when_told(int(sys.argv[1]))
"""


@pytest.fixture
def home(tmp_path: Path) -> Case:
    (tmp_path / "home").mkdir(mode=0o700)
    return Case(tmp_path / "home")


@pytest.fixture
def folder_of_the_user(tmp_path: Path) -> Path:
    """A folder with a project whose names are those of our packages and of a module of Python's."""
    folder = tmp_path / "project"
    for name in (
        "experiments/__init__.py",
        "store/__init__.py",
        "fsrun/__init__.py",
        "random.py",
        "torch.py",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("raise RuntimeError('this is a file of the user')\n")
    return folder


@pytest.fixture
def on_macos(tmp_path: Path) -> dict[str, str]:
    """The environment of processes that find no more than macOS has."""
    folder = tmp_path / "macos"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(MACOS)
    return {"PYTHONPATH": str(folder)}


@pytest.fixture
def without_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")


def test_usable_cores_are_those_the_process_is_bound_to() -> None:
    assert usable_cores() == len(os.sched_getaffinity(0))


def test_where_no_process_can_be_bound_all_cores_are_usable(without_affinity: None) -> None:
    assert usable_cores() == os.cpu_count()


@pytest.mark.parametrize(("text", "threads"), [("3", 3), ("0", None), ("", None), ("many", None)])
def test_omp_num_threads_counts_where_it_is_a_number(
    monkeypatch: pytest.MonkeyPatch, text: str, threads: int | None
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert requested_threads() == threads


@pytest.fixture
def another_process_with_the_lock(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    script = (
        "import sys; from pathlib import Path; from experiments.machine import locked\n"
        "with locked(Path(sys.argv[1])): print('locked', flush=True); sys.stdin.read()"
    )
    words = python_command("-c", script, str(tmp_path / "a.lock"))
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield process
        process.kill()


def test_a_lock_is_for_one_process_and_free_once_that_one_is_dead(
    tmp_path: Path, another_process_with_the_lock: "subprocess.Popen[str]"
) -> None:
    with locked(tmp_path / "a.lock", wait=False) as is_ours:
        assert not is_ours
    another_process_with_the_lock.kill()
    with locked(tmp_path / "a.lock") as is_ours:
        assert is_ours


def test_the_home_of_a_user_who_has_none_is_refused_by_name() -> None:
    assert expanded("~/a") == Path.home() / "a"
    with pytest.raises(ConfigError, match="~nosuchuser"):
        expanded("~nosuchuser/a")


def test_a_user_without_a_home_is_asked_to_set_one(home: Case, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(NOBODY)
    nobody = {"PYTHONPATH": str(tmp_path), "HOME": ""}
    for settings in (nobody | {"FSRUN_HOME": ""}, {"FSRUN_HOME": "~nosuchuser/x"}):
        for words in (["ls"], ["doctor"], ["tui"]):
            answer = in_its_own_process(home, *words, settings=settings, folder=home.root)
            assert answer.code in (1, 2)
            assert "Traceback" not in answer.err + answer.out
            if words == ["ls"]:
                assert_refused(answer, "no home folder: set FSRUN_HOME")
    assert list(home.root.iterdir()) == []
    answer = in_its_own_process(home, "ls", settings=nobody)
    assert (answer.code, answer.err) == (0, "")


def test_a_dashboard_names_its_database_to_a_user_without_a_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def nobody(_uid: int) -> None:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.delenv("HOME")
    assert Database(tmp_path / "fsrun.db").shown == str(tmp_path / "fsrun.db")


@pytest.mark.parametrize("named", ["", "/elsewhere"])
def test_a_runner_keeps_what_numba_compiles_below_the_home_unless_told_otherwise(
    home: Case, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", named)
    runner = RunnerProcess(home, "w1", "cpu")
    facts = Path("/proc") / str(runner.process.pid) / "environ"
    wait_until(lambda: facts.read_bytes() != b"")  # the system is still starting it
    known = facts.read_bytes().split(b"\0")
    runner.kill()
    runner.close(0)
    assert f"NUMBA_CACHE_DIR={named or home.root / 'cache' / 'numba'}".encode() in known


def test_why_git_does_not_tell_the_commit_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own, as where another user has cloned
    (tmp_path / "fsrun").mkdir()
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True, capture_output=True)
    assert _commit(tmp_path / "fsrun").startswith("not known (detected dubious ownership in repository")


def test_an_apple_gpu_is_refused_where_torch_has_none() -> None:
    with pytest.raises(UsageError, match=r"device mps: torch .* sees no Apple GPU"):
        check_device("mps")


def test_no_python_is_started_but_by_the_one_function_that_leaves_out_the_current_folder() -> None:
    starts = [
        str(path.relative_to(ROOT))
        for package in ("experiments", "store", "fsrun")
        for path in (ROOT / package).rglob("*.py")
        if "sys.executable" in path.read_text(encoding="utf-8")
    ]
    assert starts == ["experiments/machine.py"]
    assert python_command("-c", "")[:2] == [sys.executable, "-P"]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_child_imports_nothing_from_the_folder_of_the_user(
    folder_of_the_user: Path, processes: int
) -> None:
    words = command(processes, "fsrun.worker.devices")
    done = subprocess.run(words, cwd=folder_of_the_user, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_slurm_starts_an_element_without_the_current_folder(home: Case) -> None:
    pytest.importorskip("submitit", reason="submitit is not installed: pip install 'fsrun[slurm]'")
    from fsrun.worker.slurm_engine import _executor

    started = _executor(home, "local")._executor._submitit_command_str
    assert started.startswith(f"{sys.executable} -P ")


@pytest.mark.parametrize("command", ["ls", "doctor"])
def test_a_package_of_our_name_that_python_would_take_instead_is_named(
    home: Case, tmp_path: Path, command: str
) -> None:
    for name in ("experiments", "store"):
        project = tmp_path / f"has-{name}"
        (project / name).mkdir(parents=True)
        (project / name / "__init__.py").touch()
        answer = in_its_own_process(home, command, settings={"PYTHONPATH": str(project)}, folder=tmp_path)
        assert_refused(answer, f"package {name} is taken from {project}", str(ROOT))


def test_a_run_is_trained_on_macos_in_a_folder_that_holds_packages_of_our_names(
    home: Case, on_macos: dict[str, str], folder_of_the_user: Path
) -> None:
    answer = in_its_own_process(home, "run", "synthetic", *TINY, settings=on_macos, folder=folder_of_the_user)
    assert (answer.code, answer.err) == (0, "")
    assert home.statuses() == [JobStatus.DONE]
    answer = in_its_own_process(home, "doctor", settings=on_macos, folder=folder_of_the_user)
    assert (answer.code, answer.err) == (0, "")
    assert f"cpu with {os.cpu_count()} cores" in answer.out


def test_on_macos_one_of_several_processes_ends_when_it_is_told_and_when_its_launcher_is_gone(
    on_macos: dict[str, str],
) -> None:
    somebody_else = 1
    for launcher in (os.getpid(), somebody_else):
        words = python_command("-c", WAITS_FOR_ITS_LAUNCHER, str(launcher))
        with subprocess.Popen(words, stdout=subprocess.PIPE, env=os.environ | on_macos) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            if launcher == os.getpid():
                process.terminate()
            assert process.wait(60) == 1


def test_a_number_no_database_holds_is_refused_in_one_line_before_anything_is_queued(home: Case) -> None:
    for words in (
        ("run", "synthetic", *TINY, "--set", f"seed={2**63}"),
        ("queue", "glyphs", "--preset", "quick", "--set", f"seed={2**63 - 1}", "--seeds", "2"),
    ):
        answer = in_its_own_process(home, *words)
        assert_refused(answer, "seed")
        assert answer.code == 2
        assert home.statuses() == []
