import pytest

from scalesim.errors import InvalidRequestError
from scalesim.policies.distance import ESTIMATORS, estimator
from scalesim.policies.distance.scheduled import Wake


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_name_is_an_estimator(name):
    assert callable(estimator(name).distances)


def test_an_import_path_serves_as_a_name():
    assert estimator("scalesim.policies.distance.scheduled:Wake") is Wake


@pytest.mark.parametrize(
    "name", ["nope", "scalesim.policies.distance.scheduled:Nope", "no.such:Thing", ":"]
)
def test_an_unknown_name_lists_the_choices(name):
    with pytest.raises(InvalidRequestError, match="hourly-rate"):
        estimator(name)
