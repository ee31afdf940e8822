"""Settings of serving: where they are from, and one clear error each."""

from __future__ import annotations

from pathlib import Path

import pytest

from brain.errors import SettingsError
from brain.naming import Regime
from brain.settings import load_settings
from serving import Limits
from serving.http.settings import OPTIONS, ServeSettings, load_serve_settings

TOKEN = "a-token-of-24-characters"


def test_without_any_setting_it_listens_on_loopback() -> None:
    settings = load_serve_settings()
    assert settings == ServeSettings()
    assert (settings.host, settings.port, settings.limits) == ("127.0.0.1", 8000, Limits())


def test_the_command_line_is_before_the_environment_and_that_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "brain.toml").write_text(
        'folds = 3\n[serve]\nport = 1\nbody_kb = 2\nhosts = ["a", "b"]\nanonymous = true\n'
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BRAIN_SERVE_BODY_KB", "3")
    monkeypatch.setenv("BRAIN_SERVE_TOKENS", f"{TOKEN}, {TOKEN}-2")
    settings = load_serve_settings({"port": "4", "symbols": None})
    assert (settings.port, settings.body_kb, settings.hosts) == (4, 3, ("a", "b"))
    assert settings.anonymous
    assert settings.tokens == (TOKEN, f"{TOKEN}-2")
    # The jobs' settings are in the same file and the same environment.
    assert load_settings().folds == 3


def test_values_are_read() -> None:
    settings = load_serve_settings(
        {
            "symbols": "BTC/USDT, ETH-USDT.1h.6",
            "invocations": "BTC/USDT/high",
            "limits": "symbol=0.2, gross=inf, by_size=no, dwell=3, kill_file=/tmp/stop",
            "journal": "journal",
            "host": "[::1]",
            "anonymous": "yes",
            "idle_seconds": "1.5",
        }
    )
    assert settings.symbols == ("BTC/USDT", "ETH-USDT.1h.6")
    assert settings.invocations == ("BTC/USDT", Regime.HIGH)
    assert settings.limits == Limits(
        symbol=0.2, gross=float("inf"), by_size=False, dwell=3, kill_file=Path("/tmp/stop")
    )
    assert settings.journal == Path.cwd() / "journal"
    assert (settings.host, settings.anonymous, settings.idle_seconds) == ("::1", True, 1.5)
    assert load_serve_settings({"limits": "off"}).limits == Limits.off()
    assert load_serve_settings({"symbols": "all", "journal": "none"}) == ServeSettings()
    assert "tokens" not in OPTIONS


REFUSED = {
    "prot=1": "'prot' is no setting of serve; did you mean 'port'?",
    "port=-1": "port='-1': write a number from 0 to 65535",
    "port=http": "port='http'",
    "host=http://x": "write an address",
    "host=*": "write an address",
    "hosts=https://desk.example": "names without scheme and port",
    "limits=symbols=0.2": "did you mean 'symbol'?",
    "limits=0.2": "no limit is called '0.2'",
    "limits=symbol=2": "more than a slot's capital",
    "limits=symbol=nan": "write a number",
    "limits=by_size=perhaps": "write yes or no",
    "invocations=BTC-USDT": "write SYMBOL/REGIME",
    "invocations=BTC-USDT/medium": "no regime is called 'medium'",
    "journal=s3://bucket": "no path of this machine",
    "anonymous=perhaps": "write yes or no",
    "body_kb=0": "write a number from 1",
    "request_seconds=0": "write a number from 0.5",
    "idle_seconds=nan": "write a number",
    "tls_key=key.pem": "tls_certificate and tls_key belong together",
}


@pytest.mark.parametrize("given", REFUSED)
def test_a_setting_that_cant_be_used_is_one_error(given: str) -> None:
    name, _, value = given.partition("=")
    with pytest.raises(SettingsError) as refused:
        load_serve_settings({name: value})
    assert REFUSED[given] in str(refused.value)


@pytest.mark.parametrize("tokens", ["short", "", f"{TOKEN},x", "blanks in a token of length"])
def test_tokens_that_can_be_guessed_are_refused_and_not_shown(
    tokens: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRAIN_SERVE_TOKENS", tokens)
    with pytest.raises(SettingsError, match="16 to 512") as refused:
        load_serve_settings()
    assert not tokens or tokens not in str(refused.value)


def test_a_misspelt_variable_and_tokens_in_the_file_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRAIN_SERVE_TOKEN", TOKEN)
    with pytest.raises(SettingsError, match="did you mean 'BRAIN_SERVE_TOKENS'"):
        load_serve_settings()
    monkeypatch.delenv("BRAIN_SERVE_TOKEN")
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "brain.toml"
    for text, message in (
        (f'[serve]\ntokens = "{TOKEN}"\n', "move them to BRAIN_SERVE_TOKENS"),
        ("serve = 3\n", r"write \[serve\]"),
        ("[serve\n", "correct it as TOML"),
        ("[serve]\nprot = 3\n", "did you mean 'port'"),
    ):
        file.write_text(text)
        with pytest.raises(SettingsError, match=message):
            load_serve_settings()
