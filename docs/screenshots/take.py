"""Take the screenshots of MLflow's UI that the documentation shows: ``make screenshots``.

Nights are run on the packaged sample, the first on all of its symbols, in a new store. Each of them
ends a week of bars later than the one before; then a headless Chromium opens what people open. The
PNG files are written beside this one. ``--store URI`` shows a store or a server that is there
already.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import urlopen

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run
from PIL import Image
from playwright.sync_api import Browser, Error, Locator, Page, sync_playwright

from brain.series.files import sample_folder

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# The UI opens on its pages for language models, with its assistant and an introduction in front.
PREFERENCES = {
    "mlflow.workflowType_v1": '"machine_learning"',
    "_mlflow_model_registry_promo_modal_dismissed_v1": "true",
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
    "mlflow.assistant.panelOpen_v1": "false",
}
REGIMES = ("low", "normal", "high", "extreme")
MOST_BYTES = 200_000
SERVER_SECONDS = 120
PAGE_SECONDS = 60


@dataclass(frozen=True)
class Night:
    """The latest night's runs of one symbol.

    Attributes:
        symbol: whose runs.
        experiment: its id.
        runs: of its families, by family.
        explained: the run of a champion, with its explanation.
        whole: the run of the first night, which has the most symbols.
    """

    symbol: str
    experiment: str
    runs: dict[str, Run]
    explained: Run
    whole: Run

    @property
    def model(self) -> str:
        """The name of the registered model."""
        return model_of(self.runs)


def model_of(runs: dict[str, Run]) -> str:
    """The name of the registered model that runs of its families have added versions to."""
    return next(iter(runs.values())).data.tags["model_id"].partition("/")[0]


def find(uri: str, symbol: str, experiment: str, regime: str) -> Night:
    """The latest runs of the symbol's families, and the champion of a regime."""
    client = MlflowClient(tracking_uri=uri)
    entity = client.get_experiment_by_name(experiment)
    if entity is None:
        raise SystemExit(f"there is no experiment {experiment!r}; run a night first: make nightly")
    runs: dict[str, Run] = {}  # the latest come first
    for run in client.search_runs(
        [entity.experiment_id], f'tags.symbol = "{symbol}" and tags.role = "family"'
    ):
        runs.setdefault(run.data.tags["family"], run)
    if not runs:
        raise SystemExit(f"no run of {symbol} is there; run a night with it first")
    version = client.get_model_version_by_alias(model_of(runs), f"champion-{regime}")
    explained = client.get_run(str(version.run_id))
    (whole,) = client.search_runs(
        [entity.experiment_id],
        'tags.role = "night"',
        order_by=["attributes.start_time ASC"],
        max_results=1,
    )
    return Night(symbol, entity.experiment_id, runs, explained, whole)


# --- pages --------------------------------------------------------------------------------------


def compare(page: Page, night: Night) -> None:
    """Three families beside each other: net Sharpe in each regime, and all else below."""
    ids = json.dumps([run.info.run_id for run in night.runs.values()], separators=(",", ":"))
    go(page, f'compare-runs?runs={quote(ids)}&experiments=["{night.experiment}"]')
    page.get_by_text("Run details").wait_for()
    page.get_by_role("button", name="Clear All").click()
    parameters, metrics = page.get_by_role("combobox").all()[:2]
    choose(page, parameters, ["family"])
    choose(page, metrics, [f"{regime}/net_sharpe" for regime in REGIMES])


def models(page: Page, night: Night) -> None:
    """Every model, its metrics grouped by dataset, which is a regime's out-of-sample bars."""
    go(page, f"experiments/{night.experiment}/models")
    page.get_by_text("net_sharpe").first.wait_for()
    page.get_by_role("button", name="Columns").click()
    for column in ("Status", "Logged from", "Dataset", "Metrics"):
        tick(page, column)
    tick(page, "Parameters")
    for regime in REGIMES:
        fold(page, f"Dataset: {night.model} {regime}")
        for metric in ("net_sharpe", "net_sharpe_error"):
            # A regime has no column of what is unknown for all of its models.
            if page.locator(f'[title="{metric}"]').count():
                tick(page, metric)
        fold(page, f"Dataset: {night.model} {regime}")
    page.keyboard.press("Escape")


def plot(page: Page, night: Night) -> None:
    """A champion's beeswarm among its run's files."""
    artifact(page, night.explained, "explanation/beeswarm.png")


def profit(page: Page, night: Night) -> None:
    """A champion's profit among its run's files."""
    artifact(page, night.explained, "profit.png")


def whole(page: Page, night: Night) -> None:
    """All symbols of a night on one page, among the files of the night's run."""
    artifact(page, night.whole, "night.html")


def card(page: Page, night: Night) -> None:
    """A champion's model card."""
    artifact(page, night.explained, "card.html")
    page.wait_for_timeout(2000)


def drift(page: Page, night: Night) -> None:
    """Evidently's report among the run's files."""
    artifact(page, night.explained, "drift/evidently.html")
    page.wait_for_timeout(5000)


def registry(page: Page, night: Night) -> None:
    """A symbol's registered model: champions with their reasons, versions and their aliases."""
    go(page, f"models/{night.model}")
    page.get_by_text("Registered at").wait_for()
    page.get_by_text("Tags", exact=True).first.click()  # the records, for programs: fold them


def nights(page: Page, night: Night) -> None:
    """A metric over the nights, a line per family."""
    query = quote(f'tags.symbol = "{night.symbol}" and tags.role = "family"', safe="")
    go(
        page,
        f"experiments/{night.experiment}/runs?compareRunsMode=CHART&searchFilter={query}",
    )
    page.get_by_role("button", name="Group by").click()
    page.get_by_text("family", exact=True).last.click()
    page.get_by_placeholder("Search metric charts").fill("/net_sharpe$")
    page.wait_for_timeout(3000)


Shot = Callable[[Page, Night], None]
SHOTS: dict[str, tuple[Shot, int, int]] = {
    "compare": (compare, 1500, 1000),
    "models": (models, 2200, 1000),
    "plot": (plot, 1500, 850),
    "profit": (profit, 1500, 1150),
    "card": (card, 1500, 1150),
    "night": (whole, 1500, 1000),
    "drift": (drift, 1900, 1100),
    "registry": (registry, 1500, 1000),
    "nights": (nights, 1500, 900),
}


def artifact(page: Page, run: Run, path: str) -> None:
    """Open one of a run's files."""
    go(page, f"experiments/{run.info.experiment_id}/runs/{run.info.run_id}/artifacts/{path}")
    # Where the store lies differs from machine to machine.
    page.get_by_text("Path:").evaluate("line => line.style.visibility = 'hidden'")


def go(page: Page, where: str) -> None:
    """Open a page of the UI."""
    page.goto(f"/#/{where}")


def fold(page: Page, start: str) -> None:
    """Open or close a group of columns whose title begins so."""
    branch(page, f'[title^="{start}"]').locator("[class*=tree-switcher]").first.click()
    page.wait_for_timeout(1000)


def tick(page: Page, title: str) -> None:
    """Turn a column, or a group of them, on or off."""
    branch(page, f'[title="{title}"]').locator("[class*=tree-checkbox]").first.click()


def branch(page: Page, title: str) -> Locator:
    """An entry of the tree of columns."""
    return page.locator("[class*=tree-treenode]").filter(has=page.locator(title)).first


def choose(page: Page, box: Locator, words: list[str]) -> None:
    """Pick entries of a box with completion."""
    for word in words:
        box.click()
        page.keyboard.type(word)
        page.keyboard.press("Enter")
    page.keyboard.press("Escape")


# --- machinery ----------------------------------------------------------------------------------


def main() -> int:
    """Take all screenshots, or those of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(SHOTS)}; all if none")
    parser.add_argument("--symbol", default="BTC/USD")
    parser.add_argument("--regime", default="high", help="whose champion is shown explained")
    parser.add_argument("--experiment", default="nightly")
    parser.add_argument("--nights", type=int, default=4, help="how many are run")
    parser.add_argument("--store", help="a tracking URI with nights in it: none is run")
    parser.add_argument("--folder", type=Path, default=HERE)
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(SHOTS)
    if unknown:
        parser.error(f"no screenshot is called {', '.join(sorted(unknown))}")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        executable = find_browser()
        store = arguments.store
        if store is None:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nights-")))
            store = run_nights(scratch, arguments.symbol, arguments.nights)
        address = stack.enter_context(served(store))
        night = find(address, arguments.symbol, arguments.experiment, arguments.regime)
        driver = stack.enter_context(sync_playwright())
        browser = driver.chromium.launch(executable_path=executable, args=list(FLAGS))
        stack.callback(browser.close)
        for name in arguments.names or SHOTS:
            take(browser, address, night, name, arguments.folder / f"{name}.png")
    return 0


def find_browser() -> str:
    """The path of an installed browser; nothing is downloaded."""
    path = os.environ.get("BROWSER_PATH")
    path = path or next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        raise SystemExit(
            "error: no Chromium or Chrome was found; install one (Debian: apt-get install "
            "chromium) or name it in BROWSER_PATH"
        )
    return path


def run_nights(scratch: Path, symbol: str, nights: int) -> str:
    """Run nights on the sample, each on a week of bars more than the one before.

    The symbol's alone, but for the first.
    """
    bars = scratch / "bars"
    bars.mkdir()
    for file in sample_folder().glob("*.parquet"):
        shutil.copy(file, bars)
    (sample,) = sample_folder().glob(f"{symbol.replace('/', '-')}_*.parquet")
    rows = pd.read_parquet(sample)
    store = f"sqlite:///{scratch / 'mlflow.db'}"
    for weeks_ago in range(nights - 1, -1, -1):
        until = rows["time"].max() - pd.Timedelta(weeks=weeks_ago)
        rows[rows["time"] <= until].to_parquet(bars / sample.name)
        symbols = "auto" if weeks_ago == nights - 1 else symbol
        print(f"night until {until}")
        options = ["--bars", str(bars), "--symbols", symbols, "--trials", "2"]
        subprocess.run(
            [sys.executable, "-m", "mlproject", "nightly", *options],
            cwd=scratch,
            env=os.environ | {"MLFLOW_TRACKING_URI": store, "PYTHONPATH": str(ROOT)},
            check=True,
        )
    return store


def take(browser: Browser, address: str, night: Night, name: str, file: Path) -> None:
    """Open a page in a fresh profile and take its picture."""
    shot, width, height = SHOTS[name]
    context = browser.new_context(
        base_url=address, viewport={"width": width, "height": height}, reduced_motion="reduce"
    )
    context.set_default_timeout(PAGE_SECONDS * 1000)
    context.add_init_script(
        f"for (const [key, value] of Object.entries({json.dumps(PREFERENCES)})) "
        "if (localStorage.getItem(key) === null) localStorage.setItem(key, value)"
    )
    page = context.new_page()
    try:
        shot(page, night)
        page.wait_for_timeout(3000)
        page.screenshot(path=file)
    except Error as error:
        raise SystemExit(f"error: {name}: {error.message.splitlines()[0]}") from error
    finally:
        context.close()
    print(f"{file}: {shrink(file) / 1000:.0f} kB")


def shrink(file: Path) -> int:
    """Store a picture in as many colours as fit into the most bytes; returns its size."""
    picture = Image.open(file).convert("RGB")
    for colours in (256, 128, 64, 32):
        picture.quantize(colours, dither=Image.Dither.NONE).save(file, optimize=True)
        if file.stat().st_size <= MOST_BYTES:
            break
    return file.stat().st_size


@contextmanager
def served(uri: str) -> Iterator[str]:
    """The address of a tracking server for the store: the store's, or that of a new server."""
    if uri.startswith("http"):
        yield uri
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)]
    quiet = {
        # No argument, which other users could read: it may hold a password.
        "MLFLOW_BACKEND_STORE_URI": uri,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    with subprocess.Popen(
        command,
        env=os.environ | quiet,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as server:
        try:
            wait(server, f"http://127.0.0.1:{port}")
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(server.pid, 15)


def wait(server: subprocess.Popen[bytes], address: str) -> None:
    """Until the server answers."""
    for _ in range(SERVER_SECONDS):
        if server.poll() is not None:
            raise SystemExit("error: the MLflow server ended; is the store right?")
        try:
            with urlopen(f"{address}/health", timeout=5):
                return
        except (URLError, OSError):
            time.sleep(1)
    raise SystemExit(f"error: no answer from {address} in {SERVER_SECONDS} s")


if __name__ == "__main__":
    sys.exit(main())
