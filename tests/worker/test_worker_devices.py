"""What a machine can compute on, as it says itself."""

from pathlib import Path

import pytest

from fsrun.worker.devices import has_bfloat16

FLAGS = "processor\t: 0\nflags\t\t: fpu avx512f {}\n"


@pytest.mark.parametrize(
    ("flag", "fast"), [("amx_bf16 amx_tile", True), ("avx512_bf16", True), ("amx_tile", False), ("", False)]
)
def test_a_cpu_is_fast_in_bfloat16_if_it_multiplies_such_numbers(
    tmp_path: Path, flag: str, fast: bool
) -> None:
    described = tmp_path / "cpuinfo"
    described.write_text(FLAGS.format(flag))
    assert has_bfloat16(described) is fast


def test_a_machine_that_does_not_describe_its_cpu_is_not_called_fast(tmp_path: Path) -> None:
    assert not has_bfloat16(tmp_path / "cpuinfo")
