import pytest

from scalesim.deployments.engine.flags import in_our_names


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("within `--max-lora-rank`.", "within `engine.adapters.max_rank`."),
        ("set --lora-target-modules", "set engine.adapters.modules"),
        ("with --grammar-backend none", "with engine.extra_args.grammar_backend none"),
        ("a -- b, --A and -x", "a -- b, --A and -x"),
        ("x" * 501, f"{'x' * 500}..."),
    ],
)
def test_flags_are_named_as_people_set_them(message: str, shown: str) -> None:
    assert in_our_names(message) == shown
