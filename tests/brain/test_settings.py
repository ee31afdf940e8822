"""Settings: where they come from, and that nothing unknown passes in silence."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from brain.errors import SettingsError
from brain.naming import Family, Policy
from brain.settings import load_settings


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def test_the_default_store_is_a_database_in_the_working_directory(tmp_path: Path) -> None:
    assert load_settings().tracking_uri == f"sqlite:///{tmp_path}/mlflow.db"


def test_command_line_comes_before_environment_before_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "brain.toml").write_text("trials = 3\nfolds = 3\nseed = 3\n")
    monkeypatch.setenv("BRAIN_TRIALS", "4")
    monkeypatch.setenv("BRAIN_FOLDS", "4")
    settings = load_settings({"trials": "5", "seed": None})
    assert (settings.trials, settings.folds, settings.seed) == (5, 4, 3)


def test_mlflows_own_variable_names_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert load_settings().tracking_uri == "http://127.0.0.1:5000"


def test_another_programs_variable_does_not_name_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKING_URI", "http://somebody.else")
    assert load_settings().tracking_uri == f"sqlite:///{tmp_path}/mlflow.db"


def test_a_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql+psycopg://brain:hush@db/library")
    settings = load_settings()
    assert "hush" not in f"{settings!r} {settings} {settings.run_parameters()}"
    assert settings.tracking_uri == "postgresql+psycopg://brain:hush@db/library"


@pytest.mark.parametrize("written", ["BTC/USD,ETH/USD", "BTC-USD, ETH-USD"])
def test_symbols_may_be_written_both_ways(written: str) -> None:
    assert load_settings({"symbols": written}).symbols == ("BTC/USD", "ETH/USD")


def test_all_stands_for_every_symbol_and_family() -> None:
    settings = load_settings({"symbols": "all", "families": "all"})
    assert settings.symbols == ()
    assert settings.families == tuple(Family)


def test_champions_are_named_by_trial_unless_another_policy_is_set() -> None:
    assert load_settings().promotion is Policy.TRIAL
    assert load_settings({"promotion": "Composite"}).promotion is Policy.COMPOSITE
    assert load_settings().digest() != load_settings({"promotion": "provisional"}).digest()


def test_a_length_of_time_has_one_spelling() -> None:
    assert load_settings().refit_age is None
    settings = load_settings({"refit": "1 week"})
    assert (settings.refit, settings.refit_age) == ("7d", timedelta(days=7))
    assert settings.digest() == load_settings({"refit": "168h"}).digest()
    assert load_settings({"refit": "36h"}).refit == "36h"
    with pytest.raises(SettingsError, match="'soon' is no length of time; write it as 7d"):
        load_settings({"refit": "soon"})


def test_replays_are_kept_in_a_folder_of_this_machine(tmp_path: Path) -> None:
    assert load_settings({"replays": "old"}).replays == tmp_path / "old"
    with pytest.raises(SettingsError, match="replays are kept on this machine"):
        load_settings({"replays": "s3://bucket/replays"})


def test_a_family_named_twice_is_trained_once() -> None:
    assert load_settings({"families": "lstm,xgboost,lstm"}).families == (
        Family.LSTM,
        Family.XGBOOST,
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"trails": 3}, "'trails' is no setting; did you mean 'trials'"),
        ({"trials": 0}, "trials=0"),
        ({"seed": 2**31}, "seed=2147483648"),
        ({"seeds": "0"}, "seeds='0'"),
        ({"first_test": 1.0}, "first_test=1.0"),
        ({"jobs": "many"}, "jobs='many'"),
        ({"families": "lstn"}, "did you mean 'lstm'"),
        ({"fill": "opne"}, "did you mean 'open'"),
        ({"product": "perpetuals"}, "did you mean 'perpetual'"),
        ({"cost_bps": "-1"}, "cost_bps='-1'"),
        ({"promotion": "trail"}, "no policy of promotion is called 'trail'; did you mean 'trial'"),
        ({"symbols": "BTC USD"}, "'BTC USD'"),
    ],
)
def test_wrong_settings_are_told_with_value_and_cure(
    values: dict[str, object], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        load_settings(values)


def test_an_unknown_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAIN_TRAILS", "3")
    with pytest.raises(SettingsError, match=r"BRAIN_TRAILS.*did you mean 'BRAIN_TRIALS'"):
        load_settings()


@pytest.mark.parametrize("text", ["trials = = 3", "trails = 3"])
def test_a_broken_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "brain.toml").write_text(text)
    with pytest.raises(SettingsError, match=r"brain\.toml|'trails' is no setting"):
        load_settings()


def test_a_named_file_that_is_missing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAIN_SETTINGS", "nowhere.toml")
    with pytest.raises(SettingsError, match=r"nowhere\.toml.*is no file"):
        load_settings()


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        load_settings().trials = 9


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-11-23", "2026-11-23T00:00:00+00:00"),
        ("2026-11-23T06:00Z", "2026-11-23T06:00:00+00:00"),
        ("2026-11-23 06:00+02:00", "2026-11-23T06:00:00+02:00"),
        ("", None),
    ],
)
def test_the_time_of_a_renewal(text: str, time: str | None) -> None:
    assert load_settings({"renew": text}).renew == time


def test_a_renewal_since_no_time_is_refused() -> None:
    with pytest.raises(SettingsError, match="2026-11-23T06:00Z"):
        load_settings({"renew": "yesterday"})
