import pytest

from api.etags import etag, is_known

TAG = etag("abc")


@pytest.mark.parametrize("header", ['"abc"', 'W/"abc"', '"x", "abc"', "*", ' "abc" '])
def test_a_state_that_the_caller_has_is_known(header: str) -> None:
    assert is_known(header, TAG)


@pytest.mark.parametrize("header", [None, "", "abc", '"abcd"', '"x", "y"'])
def test_a_state_that_the_caller_does_not_have_is_not_known(header: str | None) -> None:
    assert not is_known(header, TAG)
