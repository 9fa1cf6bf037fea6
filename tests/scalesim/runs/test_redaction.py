from __future__ import annotations

import pytest

from scalesim.runs.redaction import redacted


@pytest.mark.parametrize(
    "words",
    [
        ["--api-key", "S3CR"],
        ["--api-key=S3CR"],
        ["-token", "S3CR"],
        ["--openai_api_key", "S3CR"],
        ["--db.password", "S3CR"],
        ["env", "OPENAI_API_KEY=S3CR"],
        ["llm.api_key=S3CR with more"],
        ["--header", "Authorization: Bearer S3CR"],
        ["curl", "-H", "authorization:S3CR"],
        ["redis://user:S3CR@host/0"],
        ["--url", "https://S3CR@host"],
        ["sk-proj-S3CRabcdefghijklmnop"],
        ["--config", "{token: hf_S3CRabcdefghijklmnop}"],
        ["--key", "--other", "x", "TOKEN=S3CR"],
    ],
)
def test_what_may_be_a_secret_is_hidden(words: list[str]) -> None:
    kept = redacted(["python", "my_town.py", *words])
    assert kept[:2] == ["python", "my_town.py"]
    assert not any("S3CR" in word for word in kept)
    assert any("***" in word for word in kept)
    assert len(kept) == 2 + len(words)


def test_known_secrets_are_hidden_wherever_they_are() -> None:
    kept = redacted(["run", "my=plain-key=word", "plain-key", "pl"], ["plain-key", "", "pl"])
    assert kept == ["run", "my=***=word", "***", "***"]


def test_all_else_is_kept() -> None:
    plain = ["python", "-m", "town", "--agents", "100", "--max-tokens", "8", "--keyboard", "us"]
    plain += ["--base-url", "http://127.0.0.1:8080/v1", "w1 w2", "Qwen/Qwen3-30B-A3B-Instruct-2507"]
    assert redacted(plain) == plain
