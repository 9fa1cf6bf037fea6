"""Secrets and addresses that come from the environment."""

import pytest

from scalesim.environment import client_from_env, ray_address_from_env, with_secrets_from_env
from scalesim.errors import ConfigurationError
from scalesim.settings import StackSettings, load


@pytest.mark.parametrize(
    ("url", "filled"),
    [
        ("redis://host:6379/0", "redis://:p%40%2F@host:6379/0"),
        ("rediss://user@host:6379/0", "rediss://user:p%40%2F@host:6379/0"),
    ],
)
def test_secrets_are_filled_in(url: str, filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALESIM_API_KEY", "k")
    monkeypatch.setenv("SCALESIM_CATALOG_PASSWORD", "p@/")
    given = {"engine": {"model_path": "m"}, "catalog": {"url": url}}
    settings = with_secrets_from_env(load(StackSettings, given))
    assert settings.ingress.api_key.get_secret_value() == "k"
    assert settings.catalog.url.get_secret_value() == filled
    assert "p%40" not in repr(settings)


def test_the_key_of_embeddings_is_for_a_server_that_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SCALESIM_EMBEDDINGS_API_KEY", "hidden")
    given = {"engine": {"model_path": "m"}, "ingress": {"embeddings": {"url": "http://e/v1"}}}
    settings = with_secrets_from_env(load(StackSettings, given))
    assert settings.ingress.embeddings is not None
    assert settings.ingress.embeddings.api_key.get_secret_value() == "hidden"
    assert "hidden" not in repr(settings)
    none = with_secrets_from_env(load(StackSettings, {"engine": {"model_path": "m"}}))
    assert none.ingress.embeddings is None


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_end_of_line_of_a_secret_is_no_part_of_it(
    end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALESIM_API_KEY", f"k{end}")
    monkeypatch.setenv("SCALESIM_CATALOG_PASSWORD", f" p{end}")
    given = {"engine": {"model_path": "m"}, "catalog": {"url": f"redis://host{end}"}}
    settings = with_secrets_from_env(load(StackSettings, given))
    assert settings.ingress.api_key.get_secret_value() == "k"
    assert settings.catalog.url.get_secret_value() == "redis://:%20p@host"
    assert client_from_env().api_key.get_secret_value() == "k"


def test_a_password_for_no_server_is_said_to_be_unused(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SCALESIM_CATALOG_PASSWORD", "hidden")
    settings = with_secrets_from_env(load(StackSettings, {"engine": {"model_path": "m"}}))
    assert settings.catalog.url.get_secret_value() == ""
    assert "SCALESIM_CATALOG_PASSWORD is not used" in caplog.text
    assert "hidden" not in caplog.text


def test_without_secrets_settings_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SCALESIM_API_KEY", "SCALESIM_CATALOG_PASSWORD", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    settings = load(StackSettings, {"engine": {"model_path": "m"}})
    assert with_secrets_from_env(settings) == settings
    assert ray_address_from_env() is None


TOWN = {"engine": {"model_path": "m"}, "ingress": {"api_keys": {"town": {"simulations": ["town"]}}}}


def test_keys_of_simulations_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALESIM_API_KEYS", '{"town": "hidden"}\n')
    settings = with_secrets_from_env(load(StackSettings, TOWN))
    assert settings.ingress.api_keys["town"].key.get_secret_value() == "hidden"
    assert settings.ingress.api_keys["town"].simulations == ("town",)
    assert "hidden" not in repr(settings)


@pytest.mark.parametrize("text", ["hidden", '["hidden"]', '{"town": 1}', '{"city": "hidden"}'])
def test_keys_that_cannot_be_read_are_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALESIM_API_KEYS", text)
    with pytest.raises(ConfigurationError, match="SCALESIM_API_KEYS") as caught:
        with_secrets_from_env(load(StackSettings, TOWN))
    assert "hidden" not in str(caught.value)


def test_quotas_are_of_keys_that_there_are() -> None:
    with pytest.raises(ConfigurationError, match=r"key_quotas has 'city'"):
        load(StackSettings, {**TOWN, "controller": {"key_quotas": {"city": {"max_agents": 1}}}})
