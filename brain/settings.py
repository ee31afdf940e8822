"""Settings: frozen, from a file, the environment and the command line; unknown keys are refused.

A setting may be in ``brain.toml`` in the folder that a job is started in (another file:
``BRAIN_SETTINGS``), from which relative paths start, see :mod:`brain.folders`. The environment
variable ``BRAIN_<NAME>`` overrides the file, and the command line overrides both. The tracking
store is MLflow's own ``MLFLOW_TRACKING_URI``.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from brain.addresses import check_environment, refuse_ambiguous
from brain.calendars import parse_calendars
from brain.columns import parse_columns
from brain.costs import parse_rates
from brain.errors import BrainError, InputError, SettingsError, did_you_mean
from brain.folders import (
    FOLDER,
    SETTINGS_FILE,
    absolute,
    artifact_address,
    bars_folder,
    frames_folder,
    log_address,
    replays_folder,
    series_address,
    tracking_address,
)
from brain.naming import (
    Family,
    Fill,
    Liquidity,
    Policy,
    Product,
    parse_family,
    parse_fill,
    parse_liquidity,
    parse_policy,
    parse_product,
    parse_symbol,
    perpetual,
    present_name,
)
from brain.redact import redact
from brain.timeframes import check_timeframe, parse_span, span_text

__all__ = ["Settings", "load_settings"]

#: Basis points of each unit traded, by exchange and symbol, see :func:`brain.costs.parse_rates`.
Rates = Annotated[dict[str, float], NoDecode, BeforeValidator(parse_rates)]

_PREFIX = "BRAIN_"
_FILE = "BRAIN_SETTINGS"
# Where settings are, and a variable of the tests: neither settings nor misspellings.
_STREAMED = ("binance", "bybit", "okx")
# Of no other job than the stream, which has no run.
_OF_STREAMS = {
    *(f"{exchange}_stream_url" for exchange in _STREAMED),
    "frames",
    "frames_hours",
    "commit_seconds",
}
_RESERVED = {_FILE, FOLDER, "BRAIN_RECORDED_DATA"}
# Those of `brain serve` are its own, :mod:`serving.http.settings`, which needs no pydantic.
_SERVE, _SERVE_TABLE = f"{_PREFIX}SERVE_", "serve"


def _words(value: object) -> object:
    """``"a, b"`` → ``("a", "b")``; ``"all"`` and ``""`` → ``()``, which means all."""
    if isinstance(value, str):
        words = tuple(word.strip() for word in value.split(",") if word.strip())
        return () if words == ("all",) else words
    return value


def _symbols(value: object) -> object:
    words = _words(value)
    return tuple(parse_symbol(str(w)) for w in words) if isinstance(words, list | tuple) else words


def _families(value: object) -> object:
    words = _words(value)
    if not isinstance(words, list | tuple):
        return words
    return tuple(dict.fromkeys(parse_family(str(word)) for word in words)) or tuple(Family)


def _columns(value: object) -> object:
    names = [name for name in value.split(",") if name.strip()] if isinstance(value, str) else value
    return parse_columns(names) if isinstance(names, list | tuple) else names


def _lower_words(value: object) -> object:
    words = _words(value)
    if not isinstance(words, list | tuple):
        return words
    return tuple(dict.fromkeys(str(word).lower() for word in words))


def _member(parse: Callable[[str], object]) -> BeforeValidator:
    """A name in any case, read by ``parse``; other values go on as they are."""
    return BeforeValidator(lambda v: parse(v.lower()) if isinstance(v, str) else v)


def _time(value: object) -> object:
    """A time as ISO 8601 text, in UTC if it has no zone."""
    if value is None or value == "":
        return None
    try:
        time = datetime.fromisoformat(str(value))
    except ValueError:
        raise InputError("write a time as 2026-11-23 or 2026-11-23T06:00Z") from None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).isoformat()


def _span(value: object) -> object:
    """A length of time in one spelling: days where they are whole."""
    if value is None or value == "":
        return None
    return span_text(parse_span(value))


def _streamed(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if value not in _STREAMED:
            raise InputError(f"{value!r} is not streamed from; {did_you_mean(value, _STREAMED)}")
    return values


def _scorer(value: str) -> str:
    """The lexicon's name, or the folder of a transformer, which relative paths lead to as usual."""
    return value if value == "lexicon" else str(absolute(value))


def _renamed(value: object) -> object:
    """``"MATIC/USDT=POL/USDT"`` → ``{"MATIC/USDT:USDT": "POL/USDT:USDT"}``."""
    if not isinstance(value, str):
        return value
    pairs = [pair.split("=") for pair in value.split(",") if pair.strip()]
    if any(len(pair) != 2 for pair in pairs):
        raise InputError("write OLD=NEW, with commas between, as in MATIC/USDT=POL/USDT")
    renamed = {perpetual(old.strip()): perpetual(new.strip()) for old, new in pairs}
    for old in renamed:
        present_name(old, renamed)  # refuses a circle
    return renamed


class Settings(BaseSettings):
    """The settings of a job, frozen."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, extra="forbid", frozen=True, populate_by_name=True
    )

    tracking_uri: Annotated[str, BeforeValidator(tracking_address)] = Field(
        default_factory=lambda: f"sqlite:///{Path.cwd() / 'mlflow.db'}",
        validation_alias="MLFLOW_TRACKING_URI",
        repr=False,  # it may hold a password
        description="MLflow tracking URI, which is the Brain Library's dsn",
    )
    experiment: str = Field(
        default="nightly", min_length=1, description="MLflow experiment of the nights"
    )
    bars: Annotated[Path | None, BeforeValidator(bars_folder)] = Field(
        default=None, description="folder of Parquet or CSV files; the packaged sample if none"
    )
    columns: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_columns)] = Field(
        default=(),
        description="columns of the files that are features too, each known at its bar's close",
    )
    series: Annotated[str, BeforeValidator(series_address)] = Field(
        default_factory=lambda: str(Path.cwd() / "series"),
        min_length=1,
        description="folder or s3://bucket/prefix of the market series; credentials as for boto3",
    )
    exchanges: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_lower_words)] = Field(
        default=(), description="exchanges to collect from; the first one's candles are the bars"
    )
    timeframe: Annotated[str, AfterValidator(check_timeframe)] | None = Field(
        default=None, description="of the bars, as 4h; candles are collected at 1h if none"
    )
    hours: int = Field(
        default=4320, ge=1, description="hours of history that a collection makes complete"
    )
    renew: Annotated[str | None, BeforeValidator(_time)] = Field(
        default=None,
        description="time since which a collection asks for stored rows too, and replaces them",
    )
    renamed: Annotated[dict[str, str], NoDecode, BeforeValidator(_renamed)] = Field(
        default_factory=dict, description="symbols by their former name, OLD=NEW"
    )
    binance_url: str | None = Field(
        default=None,
        repr=False,
        description="base URL of Binance USD-M; its own if none",
    )
    bybit_url: str | None = Field(
        default=None, repr=False, description="base URL of Bybit; its own if none"
    )
    okx_url: str | None = Field(
        default=None, repr=False, description="base URL of OKX; its own if none"
    )
    kinds: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_lower_words)] = Field(
        default=(),
        description="what is collected: market (candles, funding, open interest and snapshots), "
        "sentiment; all that is configured if none",
    )
    sentiment: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_lower_words)] = Field(
        default=(),
        description="publishers of posts and indices: feeds, fear_greed, x, reddit, news; "
        "credentials are in the environment",
    )
    liquidations: Annotated[
        tuple[str, ...], NoDecode, AfterValidator(_streamed), BeforeValidator(_lower_words)
    ] = Field(
        default=(),
        description="exchanges whose streamed liquidations are features: binance, bybit, okx; what "
        "`brain stream` has listened to",
    )
    scorer: Annotated[str, AfterValidator(_scorer)] = Field(
        default="lexicon",
        min_length=1,
        description="lexicon, or the folder of a transformer that scores posts",
    )
    sentiment_days: int = Field(
        default=730, ge=1, description="days that ids, times and scores of posts are kept"
    )
    feeds: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)] = Field(
        default=(),
        repr=False,  # an address may hold a key
        description="addresses of RSS or Atom feeds; three of news of crypto if none",
    )
    subreddits: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)] = Field(
        default=(), description="subreddits whose posts are read; four on crypto if none"
    )
    posts_an_hour: int = Field(
        default=100, ge=10, description="posts of an hour and coin that X, which bills each, sends"
    )
    x_url: str | None = Field(
        default=None, repr=False, description="base URL of X; its own if none"
    )
    reddit_url: str | None = Field(
        default=None, repr=False, description="base URL of Reddit's API; its own if none"
    )
    reddit_login_url: str | None = Field(
        default=None, repr=False, description="base URL of Reddit's login; its own if none"
    )
    news_url: str | None = Field(
        default=None, repr=False, description="base URL of the news API; its own if none"
    )
    fear_greed_url: str | None = Field(
        default=None, repr=False, description="base URL of the Fear & Greed index; its own if none"
    )
    binance_stream_url: str | None = Field(
        default=None,
        repr=False,
        description="address of Binance USD-M's WebSockets, wss://HOST; its own if none",
    )
    bybit_stream_url: str | None = Field(
        default=None, repr=False, description="address of Bybit's WebSockets; its own if none"
    )
    okx_stream_url: str | None = Field(
        default=None, repr=False, description="address of OKX's WebSockets; its own if none"
    )
    frames: Annotated[Path, BeforeValidator(frames_folder)] = Field(
        default_factory=lambda: Path.cwd() / "frames",
        description="folder in which a stream records what comes, as it came",
    )
    frames_hours: float = Field(
        default=72.0, gt=0, description="hours that a stream's recording is kept"
    )
    commit_seconds: float = Field(
        default=10.0, gt=0, description="seconds between two commits of a stream to the series"
    )
    request_timeout: float = Field(
        default=10.0, gt=0, description="seconds that an exchange's answer is waited for"
    )
    calendar: Annotated[dict[str, str], NoDecode, BeforeValidator(parse_calendars)] = Field(
        default_factory=dict,
        description="calendar of the market, also by symbol: XNYS, EUR/USD=FX; continuous if none, "
        "bars for the bars that there are",
    )
    symbols: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_symbols)] = Field(
        default=(), description="symbols to work on; all that the folder holds if none"
    )
    families: Annotated[tuple[Family, ...], NoDecode, BeforeValidator(_families)] = Field(
        default=tuple(Family), description="model families to train"
    )
    horizon: int | None = Field(
        default=None, ge=1, description="bars that a prediction looks forward; 6 if none"
    )
    folds: int = Field(default=5, ge=1, description="test blocks of the walk-forward")
    first_test: float = Field(
        default=0.5, gt=0, lt=1, description="share of bars before the first test"
    )
    embargo: int = Field(default=24, ge=0, description="bars left out between training and test")
    trials: int = Field(default=8, ge=1, description="hyperparameter trials of a family")
    retune: bool = Field(default=False, description="search again although a recipe is stored")
    fill: Annotated[Fill | None, _member(parse_fill)] = Field(
        default=None,
        description="where decisions are filled: open, worked, finer; by the bars if none",
    )
    product: Annotated[Product | None, _member(parse_product)] = Field(
        default=None,
        description="spot, perpetual; if none, collected candles are perpetuals', files spot",
    )
    cost_bps: Rates = Field(
        default_factory=dict,
        description="cost of each unit traded, basis points: 5, or okx=5,BTC/USDT=3; if none, "
        "fee, half spread and impact",
    )
    fee_bps: Rates = Field(
        default_factory=dict, description="fee in the same form; as exchanges publish it if none"
    )
    half_spread_bps: Rates = Field(
        default_factory=dict, description="half spread; estimated from the bars if none"
    )
    impact_bps: Rates = Field(
        default_factory=dict, description="one's own orders' impact on the price; 0 if none"
    )
    liquidity: Annotated[Liquidity, _member(parse_liquidity)] = Field(
        default=Liquidity.TAKER, description="maker or taker: which of an exchange's fees is paid"
    )
    threshold: float = Field(
        default=1.0,
        ge=0,
        description="least expected gain of a position, in costs of opening and closing it",
    )
    promotion: Annotated[Policy, _member(parse_policy)] = Field(
        default=Policy.TRIAL,
        description="how champions are named: trial, provisional, composite",
    )
    refit: Annotated[str | None, BeforeValidator(_span)] = Field(
        default=None,
        description="age at which a version is fitted anew, as 7d: on the other nights versions "
        "stay, and a recipe has one walk-forward, which goes on with its shadows; if none, every "
        "night fits all and walks forward anew",
    )
    seed: int = Field(default=7, ge=0, lt=2**31, description="of every fit and search")
    seeds: int | None = Field(
        default=None, ge=1, description="fits whose mean a model predicts; by the family if none"
    )
    jobs: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        description="worker processes",
    )
    explain_rows: int = Field(
        default=2000, ge=100, description="bars that a boosted tree is explained on"
    )
    explain_windows: int = Field(
        default=256, ge=100, description="bars, with their look-back, that an LSTM is explained on"
    )
    recent_bars: int = Field(
        default=240, ge=30, description="latest bars whose features are compared with training"
    )
    drift_columns: int = Field(
        default=24, ge=1, description="features in Evidently's report, the most unusual first"
    )
    wait_minutes: float = Field(
        default=0.0,
        ge=0,
        description="minutes that a night waits for the end of another one of its experiment",
    )
    log_file: Annotated[str, BeforeValidator(log_address)] = Field(
        default="auto", description="file of the log; beside the store if auto, none for none"
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="text or json: the form of the log's lines"
    )
    free_mb: float = Field(
        default=500.0,
        ge=0,
        description="megabytes that must be free where a job writes, before it starts",
    )
    artifact_root: Annotated[str | None, BeforeValidator(artifact_address)] = Field(
        default=None,
        repr=False,  # it may hold a password
        description="folder or s3://bucket/prefix of new experiments' artifacts; the tracking "
        "server's own, or ./mlruns, if none",
    )
    replays: Annotated[Path | None, BeforeValidator(replays_folder)] = Field(
        default=None, description="folder of the replays; beside the store if none"
    )
    reap_after_hours: float = Field(
        24.0,
        gt=0,
        description="age at which another host's unfinished run counts as dead",
    )

    @property
    def candle_timeframe(self) -> str:
        """The timeframe at which candles are collected and read."""
        return self.timeframe or "1h"

    @property
    def bars_ahead(self) -> int:
        """The horizon of the models that are trained."""
        return self.horizon or 6

    @property
    def refit_age(self) -> timedelta | None:
        """The age at which a version is fitted anew; None if every night fits all."""
        return None if self.refit is None else parse_span(self.refit)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """What ``repr`` shows: no secret."""
        for name, value in super().__repr_args__():
            yield name, redact(value) if isinstance(value, str) else value

    def run_parameters(self) -> dict[str, Any]:
        """The settings that a run logs: all but addresses, which may hold a password."""
        hidden = {name for name in type(self).model_fields if name.endswith("_url")}
        hidden |= {"tracking_uri", "artifact_root", "series", "feeds"}
        return self.model_dump(mode="json", exclude=hidden | _OF_STREAMS)

    def deciding(self) -> dict[str, Any]:
        """The settings that decide the results of a job; some may hold a password."""
        indifferent = {
            "tracking_uri",
            "jobs",
            "request_timeout",
            "wait_minutes",
            "free_mb",
            "log_file",
            "log_format",
            "artifact_root",
            "reap_after_hours",
            "replays",
        }
        return self.model_dump(mode="json", exclude=indifferent | _OF_STREAMS)

    def digest(self) -> str:
        """SHA-256 of what decides the results of a job: equal for two starts of one night."""
        return hashlib.sha256(json.dumps(self.deciding(), sort_keys=True).encode()).hexdigest()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line before environment before file."""
        file = _SettingsFile(settings_cls, toml_file=_settings_file())
        return init_settings, env_settings, file


def load_settings(overrides: Mapping[str, Any] | None = None) -> Settings:
    """The settings of this process.

    Args:
        overrides: values by name; None values are ignored.

    Raises:
        SettingsError: a key is unknown, a value malformed or out of range, the file unreadable, or
            an address can be read in more than one way.
    """
    _refuse_unknown_variables()
    values = {key: value for key, value in (overrides or {}).items() if value is not None}
    _check_addresses(values)
    _check_addresses({name: os.environ[name] for name in os.environ if _is_variable(name)})
    check_environment()
    try:
        return Settings(**values)
    except ValidationError as error:
        # Without pydantic's own text, which holds the values as they are.
        raise SettingsError("; ".join(_explain(entry) for entry in error.errors())) from None
    except (OSError, ValueError) as error:
        if isinstance(error, BrainError):
            raise SettingsError(str(error)) from error
        raise SettingsError(
            f"the settings file {_settings_file()} can't be read: {error}; correct it as TOML"
        ) from error


class _SettingsFile(TomlConfigSettingsSource):
    """The settings file, whose addresses are checked, whatever setting they are of."""

    def _read_file(self, file_path: Any) -> dict[str, Any]:
        values: dict[str, Any] = super()._read_file(file_path)
        values.pop(_SERVE_TABLE, None)
        _check_addresses(values)
        return values


def _check_addresses(value: object, name: str = "") -> None:
    """Check every text among the values: before a setting refuses it, and shows a part of it."""
    if isinstance(value, str):
        # Several feeds are a list as any other, of addresses.
        several = name.lower().removeprefix(_PREFIX.lower()) == "feeds"
        for address in re.split(r",\s*(?=https?://)", value) if several else [value]:
            refuse_ambiguous(address, name)
    elif isinstance(value, Mapping):
        for key, part in value.items():
            _check_addresses(part, str(key))
    elif isinstance(value, list | tuple):
        for part in value:
            _check_addresses(part, name)


def _is_variable(name: str) -> bool:
    return name.upper().startswith(_PREFIX) or name.upper() == "MLFLOW_TRACKING_URI"


def _settings_file() -> Path | None:
    path = os.environ.get(_FILE)
    if path and not Path(path).is_file():
        raise SettingsError(
            f"{_FILE}={path!r}: there is no file {absolute(path)}; create it or unset the variable"
        )
    return Path(path or SETTINGS_FILE)


def _refuse_unknown_variables() -> None:
    variables = {f"{_PREFIX}{name.upper()}" for name in Settings.model_fields}
    for name in os.environ:
        own = name.upper().startswith(_PREFIX) and not name.upper().startswith(_SERVE)
        if own and name.upper() not in variables | _RESERVED:
            raise SettingsError(
                f"environment variable {name} is no setting; {did_you_mean(name, variables)}"
            )


def _explain(entry: Any) -> str:
    """The message of one of pydantic's errors."""
    name = ".".join(str(part) for part in entry["loc"])
    if entry["type"] == "extra_forbidden":
        return f"{name!r} is no setting; {did_you_mean(name, Settings.model_fields)}"
    message = entry["msg"].removeprefix("Value error, ")
    return redact(f"{name}={entry['input']!r}: {message}")
