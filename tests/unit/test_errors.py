import errno
import inspect

import pytest

from p2psync import errors


@pytest.mark.parametrize(
    "family", [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]
)
def test_every_error_that_can_be_explained_is_of_one_family(family):
    assert issubclass(family, errors.P2PSyncError)


def test_a_store_error_lasts_unless_said_otherwise():
    assert errors.StoreError("gone").transient is False
    assert errors.StoreError("full", transient=True).transient is True


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (b"a/b", "'a/b': is bad"),
        ("ä".encode(), "'ä': is bad"),
        (b"a\xff", r"'a\\xff': is bad"),
        (b"a\x1b[2J\nb", r"'a\x1b[2J\nb': is bad"),
    ],
)
def test_a_path_error_shows_any_path_without_steering_the_terminal(path, shown):
    error = errors.PathError(path, "is bad")
    assert str(error) == shown
    assert (error.path, error.reason) == (path, "is bad")


LACKING, MISSING = OSError(errno.EMFILE, "too many"), OSError(errno.ENOENT, "none")


@pytest.mark.parametrize("error", [LACKING, ExceptionGroup("", [LACKING, ExceptionGroup("", [LACKING])])])
def test_a_lack_of_descriptors_is_explained_however_deep_it_was_met(error):
    with pytest.raises(errors.StoreError, match="ulimit"), errors.explained_lack_of_descriptors():
        raise error


@pytest.mark.parametrize("error", [MISSING, ValueError("bug"), ExceptionGroup("", [LACKING, ValueError("bug")])])
def test_whatever_else_fails_is_not_taken_for_a_lack_of_descriptors(error):
    with pytest.raises(type(error)) as caught, errors.explained_lack_of_descriptors():
        raise error
    assert caught.value is error
