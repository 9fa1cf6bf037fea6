from scalesim.deployments.requests.reference import PAGE, page


def test_the_page_is_what_the_fields_say() -> None:
    assert PAGE.read_text() == page(), "run python -m scalesim.deployments.requests.reference"
