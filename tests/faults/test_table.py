from tests.faults import table
from tests.faults.matrix import MATRIX
from tests.faults.run import Result


def test_a_row_that_ran_again_takes_its_own_line_and_leaves_the_others() -> None:
    first, second = MATRIX[0], MATRIX[1]
    page = table.markdown([Result(second, seed=2, times=8), Result(first, seed=1, times=7)])
    again = table.markdown([Result(second, seed=3, times=9, violations=["x: y"])], page)
    lines = [line for line in again.splitlines() if line.startswith("| kill")]
    assert [line.split(" | ")[1] for line in lines] == ["7", "9"]
    assert "FAILED (1)" in lines[1]
    assert again.splitlines()[:7] == page.splitlines()[:7]


def test_what_was_lost_is_counted_from_the_violations() -> None:
    result = Result(MATRIX[0], seed=1, times=1, violations=["acknowledged_jobs_end: a", "readers_saw_everything: b"])
    assert dict(zip(table.HEADS, table.cells(result), strict=True))["lost"] == "1"
