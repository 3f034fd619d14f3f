from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from dfgen.errors import ConfigError
from dfgen.grade import get_grader, grade, list_graders, registry


def test_the_built_in_graders() -> None:
    assert {"auto", "choice", "math", "numeric", "text"} <= set(list_graders())
    assert get_grader("numeric").try_inline is not None


def test_a_function_by_module_and_name() -> None:
    grader = get_grader("tests.grade.bad_graders:grade_well")
    assert grader.try_inline is None  # it always runs in a worker of the pool
    assert grade("a", "a", answer_type="tests.grade.bad_graders:grade_well").reward == 1.0


def test_an_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("polite", "tests.grade.bad_graders:grade_well", "dfgen.graders")
    monkeypatch.setattr(registry, "_find_entry_points", lambda: {"polite": point})
    try:
        assert "polite" in list_graders()
        assert get_grader("polite").name == "polite"
    finally:
        get_grader.cache_clear()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("numerical", "Did you mean 'numeric'"),
        ("", "there is no grader named ''"),
        ("no_such_module:f", "cannot be imported: ModuleNotFoundError"),
        ("tests.grade.bad_graders:missing", "cannot be imported: AttributeError"),
        ("tests.grade.bad_graders:NOT_A_FUNCTION", "is not a function"),
        (":f", "there is no grader"),
    ],
)
def test_what_is_no_grader(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        get_grader(name)


def test_grade_itself_does_not_raise() -> None:
    verdict = grade("5", "5", answer_type="numerc")
    assert not verdict.correct
    assert "Did you mean 'numeric'" in verdict.detail
