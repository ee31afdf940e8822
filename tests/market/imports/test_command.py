"""``brain import`` and ``brain export``: what people see, and exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from brain.series.store import SeriesStore
from tests.jobs import Outcome, run_job
from tests.market.exchange_server import Truth
from tests.market.imports.imported import rows
from tests.market.imports.published import KLINES, Published


@pytest.fixture
def published(tmp_path: Path) -> Published:
    """Of years that are over by any clock."""
    return Published(tmp_path / "data", Truth(fillers=0))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("BRAIN_EXCHANGES", "BRAIN_SYMBOLS", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def imported(*arguments: str) -> Outcome:
    outcome = run_job("import", *arguments)
    assert not outcome.err, outcome.err
    return outcome


def test_a_folder_is_imported_exported_and_imported_again(
    published: Published, folder: Path
) -> None:
    for month in ("2025-01", "2025-03"):
        published.klines("BTC", "1h", month)
    published.klines("ETH", "1h", "2025-01", spot=True)
    outcome = imported("data")
    assert outcome.code == 0
    assert "3/3 ETH/USDT binance-spot candles 1h: 1 file, 744 rows, 744 new" in outcome.out
    (line,) = [text for text in outcome.out.splitlines() if "BTC/USDT:USDT binance" in text][1:]
    assert "2025-01-01 00:00" in line
    assert " 672 " in line  # hours of February
    assert outcome.out.splitlines()[-1] == (
        "3 files of 2 series, 2,232 rows, 2,232 new, 672 missing, 0 files failed."
    )
    again = imported("data")
    assert again.code == 0
    assert "2,232 rows, 0 new" in again.out
    assert not (folder / "mlflow.db").exists()  # no run, and no server is asked
    assert "Imported" in outcome.out
    outcome = run_job("export", "out", "--format", "csv", "--symbols", "BTC/USDT")
    assert (outcome.code, outcome.err) == (0, "")
    assert "binance/candles/BTC-USDT_USDT_1h.csv" in outcome.out
    (folder / "brain.toml").write_text('series = "other"\n')
    assert imported("out").code == 0
    store, other = SeriesStore(folder / "series"), SeriesStore(folder / "other")
    before = rows(store, "candles", exchange="binance")
    assert rows(other, "candles").equals(before)


def test_exit_codes_tell_how_much_failed(published: Published) -> None:
    published.klines("BTC", "1h", "2025-01")
    published.klines("BTC", "1h", "2025-02")
    bad = published.klines("BTC", "1h", "2025-03")
    bad.write_bytes(b"")
    outcome = imported("data")
    assert outcome.code == 1
    assert "BTCUSDT-1h-2025-03.zip failed: its SHA-256 is" in outcome.out
    assert "BTCUSDT-1h-2025-03.zip failed: its SHA-256 is" in Path("brain.log").read_text()
    for month in ("2025-04", "2025-05"):
        published.klines("BTC", "1h", month).write_bytes(b"")
    assert imported("data").code == 4
    (published.root / "alone").mkdir()
    (published.root / "alone/notes.csv").write_text("a,b")
    outcome = imported("data/alone")
    assert outcome.code == 2
    assert "alone/notes.csv" not in outcome.out
    assert "notes.csv failed: it is not recognised" in outcome.out


def test_what_is_not_kept_is_named_and_is_no_failure(published: Published) -> None:
    for day in range(1, 6):
        name = f"BTCUSDT-aggTrades-2025-01-0{day}"
        published.write("futures/um/daily/aggTrades/BTCUSDT", name, [KLINES])
    outcome = imported("data")
    assert outcome.code == 0
    assert "and 2 more: single trades are not kept" in outcome.out


def test_a_wrong_path_is_one_line(folder: Path) -> None:
    outcome = run_job("import", "nowhere")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.error == "error: there is no file or folder nowhere; correct the path"
    assert run_job("export", "out").error.startswith("error: the store at")
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("krakne-spot", "no exchange is called 'krakne'; did you mean 'kraken'?"),
        ("KRAKEN-spot", "no exchange is called 'KRAKEN'; did you mean 'kraken'?"),
        ("../kraken", "no exchange is called '../kraken'; did you mean 'kraken'?"),
        ("-spot", "no exchange is called '-spot'; "),
        ("", "no exchange is called ''; known: "),
    ],
)
def test_a_wrong_exchange_is_one_line(
    published: Published, folder: Path, name: str, cure: str
) -> None:
    published.klines("BTC", "1h", "2025-01")
    outcome = run_job("import", "data", "--exchange", name)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.error.startswith(f"error: {cure}")
    assert not (folder / "series").exists()


def test_an_export_of_no_exchange_is_a_failure(published: Published, folder: Path) -> None:
    published.klines("BTC", "1h", "2025-01")
    imported("data")
    run_job("export", "out", "--format", "csv")
    (file,) = (folder / "out").rglob("*.csv")
    file.write_text(file.read_text().replace("binance", "../binance"))
    outcome = imported("out")
    assert outcome.code == 2
    assert "no exchange is called '../binance'; did you mean 'binance'?" in outcome.out


def test_renewed(published: Published, folder: Path) -> None:
    published.klines("BTC", "1h", "2025-01")
    imported("data")
    published.klines("BTC", "1h", "2025-01", edit=lambda text: [*text[:3], _other(text[3])])
    outcome = imported("data")
    assert outcome.code == 1
    assert "--renew 2025-01-01" in outcome.out
    outcome = imported("data", "--renew", "2025-01-01")
    assert outcome.code == 0
    assert "1 renewed" in outcome.out


def _other(line: str) -> str:
    cells = line.split(",")
    return ",".join([*cells[:5], "1.000", *cells[6:]])


def test_spot_is_trained_on_and_not_collected(published: Published) -> None:
    published.klines("ETH", "1h", "2025-01", spot=True)
    imported("data")
    outcome = run_job("collect", "--exchanges", "binance-spot", "--symbols", "ETH/USDT")
    assert outcome.code == 2
    assert "spot markets are imported and not collected" in outcome.error
