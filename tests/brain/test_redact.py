"""Secrets in texts, by form and by heart, and addresses of two readings."""

from __future__ import annotations

import base64
import html
import io
import json
import re
import shlex
import subprocess
import sys
import traceback
from urllib.parse import quote, quote_plus

import pytest

from brain.addresses import check_environment, refuse_ambiguous
from brain.errors import InputError, SettingsError
from brain.redact import RedactedStream, hide, redact, redact_document

PASSWORD = "x7'!q \\\"<&é+Zk%3"


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("postgresql://me:p@ss@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me:p/a?s#s@host/db", "postgresql://me:***@host/db"),
        ("https://ghp_0123456789@host/x", "https://***@host/x"),
        ("https://ghp_0123456789abcd:x-oauth-basic@host/x", "https://***@host/x"),
        ("http://me@corp:pw@host", "http://***@host"),
        ("s3://key:sec/ret@bucket/x", "s3://key:***@bucket/x"),
        ("http:/me:p@ss@host", "http:/me:***@host"),
        ("http:///p@ss@host", "http:///p@ss@host"),  # a path, by its form
        ("file:///tmp/a@b", "file:///tmp/a@b"),
        ("http://h/?X-Amz-Signature=ab12&x=1", "http://h/?X-Amz-Signature=***&x=1"),
        ("http://h/?x=1&api_key=ab12", "http://h/?x=1&api_key=***"),
        ("host=h password=hush dbname=x", "host=h password=*** dbname=x"),
        ("http://a:b@c,http://d:e@f", "http://a:***@c,http://d:***@f"),
        ("Continues the night, of me@home", "Continues the night, of me@home"),
    ],
)
def test_what_is_a_secret_by_its_form_is_masked(text: str, redacted: str) -> None:
    assert redact(text) == redacted


@pytest.mark.parametrize(
    "part", ["password'", "token", "'", ":/", "/:", "://a:", ":/a@", "?=token"]
)
def test_no_text_is_odd_enough_to_stall_who_masks_it(part: str) -> None:
    """Of 200,000 characters; a square of that would not end within a test's patience."""
    text = part * (200_000 // len(part))
    assert redact(f"password=hush {text} http://me:hush@host").count("hush") == 0


@pytest.mark.parametrize(
    "encode",
    [
        str,
        repr,
        json.dumps,
        html.escape,
        shlex.quote,
        quote_plus,
        lambda text: quote(text, safe=""),
        lambda text: re.sub("%..", lambda code: code[0].lower(), quote(text, safe="")),
        lambda text: quote(text, safe=" +"),
        lambda text: json.dumps(text, ensure_ascii=False),
        lambda text: base64.b64encode(f"me:{text}".encode()).decode(),
    ],
)
def test_a_secret_by_heart_is_masked_in_every_encoding(encode: object) -> None:
    hide(f"http://me:{quote(PASSWORD, safe='')}@host")
    masked = redact(f"the server said ({encode(PASSWORD)}) and left")  # type: ignore[operator]
    assert masked.startswith("the server said (")
    assert masked.endswith(") and left")
    assert "***" in masked
    assert len(masked) <= len("the server said ('***==') and left")


def test_secrets_of_the_environment_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "0penSesame")
    monkeypatch.setenv("HTTPS_PROXY", "http://me:Alib4ba!@proxy:1")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/home/me/keys")
    assert redact("0penSesame and Alib4ba! in /home/me/keys, false") == (
        "*** and *** in /home/me/keys, false"
    )


def test_what_an_address_shows_anyway_stays_readable() -> None:
    """Passwords as a first store has them would make every text unreadable."""
    hide("postgresql+psycopg://mlflow:mlflow@db/mlflow")
    assert redact("mlflow.db by mlflow") == "mlflow.db by mlflow"


def fail_of_the_third() -> None:
    try:
        try:
            raise KeyError("key 0penSesame")
        except KeyError as error:
            raise ValueError("value 0penSesame", 7) from error
    except ValueError as error:
        raise InputError("no 0penSesame; write another") from error


def test_errors_and_what_is_behind_them_are_masked() -> None:
    hide("http://me:0penSesame@host")
    with pytest.raises(InputError) as caught:
        fail_of_the_third()
    text = "".join(traceback.format_exception(caught.value))
    assert "0penSesame" not in "".join(line for line in text.splitlines() if "raise" not in line)
    assert str(caught.value) == "no ***; write another"


def test_documents_are_masked_and_stay_documents() -> None:
    hide("http://me:0penSesame@host")
    document = {"a": ["0penSesame", 1, None, True, {"b": ("0penSesame!",)}], "c": 0.5}
    assert redact_document(document) == {"a": ["***", 1, None, True, {"b": ["***!"]}], "c": 0.5}


def test_a_stream_writes_no_secret() -> None:
    hide("http://me:0penSesame@host")
    out = io.StringIO()
    stream = RedactedStream(out)
    assert stream.write("it is 0penSesame\n") == len("it is 0penSesame\n")
    stream.writelines(["and ", "0penSesame"])
    assert out.getvalue() == "it is ***\nand ***"
    assert not stream.isatty()


# --- addresses of two readings ------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://me:p@ss@host/db", "postgresql://me:p/ss@host/db", "http://me:p?ss@host",
        "http://me:p#ss@host", "http://me:p[ss@host", "http://me:p\\ss@host", "http://me:p ss@host",
        "http://me:100%@host", "http://me:p'ss@host", "http://me:pé@host",
        "u:p/ss@host", "http://me:12/ss@host", "http:///ss@host", "s3://key:se/cret@bucket",
        "s3://key:secret@bucket/x@y", "postgresql://db:5432/x?user=a@b", "me:p@ss@host", "sqlite://m:p@s@h/x",
        "postgresql://db/x?password=a b", "postgresql://db/x?password=a&b", "http:/me:p@ss@host",
    ],
)  # fmt: skip
def test_an_address_of_two_readings_is_refused_with_the_cure(address: str) -> None:
    with pytest.raises(SettingsError, match=r"THE_NAME='\S*\*\*\*' .*; write .*@ as %40") as error:
        refuse_ambiguous(address, "THE_NAME")
    scheme = address.partition(":")[0]
    assert not set(address.removeprefix(scheme).split("@")) & set(str(error.value).split("'"))


@pytest.mark.parametrize(
    "address",
    [
        "postgresql+psycopg://me:p%40s%2Fs@host:5432/db", "http://host:5000", "http://me@host/x",
        "http://me:a:b!$@[::1]:5000/x?y=z#w", "sqlite:////tmp/a@b/mlflow.db", "file:///tmp/a@b",
        "sqlite:///C:/a@b.db", "s3://bucket/a@b", "/data/a@b", "C:\\data\\a@b", "series", "",
        "postgresql://db/x?user=u&password=p%40ss&sslmode=require",
    ],
)  # fmt: skip
def test_an_address_of_one_reading_passes(address: str) -> None:
    refuse_ambiguous(address, "address")


def test_a_proxy_of_two_readings_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://me:p@ss@proxy:1")
    with pytest.raises(SettingsError, match=r"https_proxy='http://\*\*\*' can be read"):
        check_environment()


def test_an_uncaught_error_of_a_program_shows_no_secret() -> None:
    code = (
        "from brain.redact import hide, redacted_output\n"
        "hide('http://me:0penSesame@host')\n"
        "with redacted_output():\n"
        "    print('printed', '0pen' + 'Sesame')\n"
        "raise RuntimeError('raised ' + '0pen' + 'Sesame')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "printed ***\n"
    assert done.stderr.splitlines()[-1] == "RuntimeError: raised ***"
