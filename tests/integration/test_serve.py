"""`ringfence serve` as a process: hostile sockets, streams that resume, kill and come back."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest

CYCLE = [("u1", "u2", "5210.00"), ("u2", "u3", "5000.00"), ("u3", "u1", "4800.00")]
NOW = 1_772_366_400_000

pytestmark = pytest.mark.slow


@contextmanager
def serving(data):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RINGFENCE_")}
    command = [sys.executable, "-m", "api.cli", "serve", "--data", str(data), "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        url = None
        for line in process.stderr:
            if found := re.search(r"listens at (http://127\.0\.0\.1:(\d+))", line):
                url, port = found[1], int(found[2])
                break
        assert url is not None, "the server ended before it listened"
        threading.Thread(target=process.stderr.read, daemon=True).start()
        deadline = time.monotonic() + 120
        while get(url + "/readyz")[0] != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield process, url, port
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(30)
        process.stderr.close()


def get(url):
    connection = http.client.HTTPConnection(url.split("/")[2], timeout=30)
    connection.request("GET", "/" + url.split("/", 3)[3])
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, json.loads(body)


def post(port, transaction):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"content-type": "application/json"}
    connection.request("POST", "/v1/score", json.dumps(transaction), headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status == 200, body
    return body


def cycle(name, at):
    return [
        {
            "transaction_id": f"{name}-{n}",
            "timestamp": at + n * 600_000,
            "type": "transfer",
            "amount": amount,
            "currency": "EUR",
            "user_id": f"{name}-{source}",
            "counterparty_id": f"{name}-{target}",
        }
        for n, (source, target, amount) in enumerate(CYCLE)
    ]


def exchange(port, data, seconds=20.0):
    """Send raw bytes; what comes back until the server ends the connection."""
    found = b""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as line:
        try:
            line.sendall(data)
            while chunk := line.recv(65_536):
                found += chunk
        except ConnectionError:
            pass  # the server had said enough
    return found


@contextmanager
def following(port, last):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/v1/alerts/stream", headers={"Last-Event-ID": str(last)})
    try:
        yield connection.getresponse()
    finally:
        connection.close()


def alerts_of(port, last, enough):
    """(id, alert id) of the stream after an id, until there are enough."""
    found = []
    with following(port, last) as stream:
        offset = name = None
        while len(found) < enough:
            line = stream.readline().decode().rstrip("\n")
            key, _, value = line.partition(": ")
            if key == "id":
                offset = int(value)
            elif key == "event":
                name = value
            elif key == "data" and name == "alert":
                found.append((offset, json.loads(value)["alert_id"]))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("serve") / "data"


@pytest.fixture(scope="module")
def server(folder):
    with serving(folder) as found:
        yield found


CHUNK = b"10000\r\n" + b"a" * 65_536 + b"\r\n"
HEAD = b"POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (HEAD + b"Content-Length: 2097152\r\n\r\n{}", 413),
        (HEAD + b"Content-Length: 99999999999999999999\r\n\r\n{}", 400),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + 40 * CHUNK, 413),
        (HEAD + b"Content-Length: 2\r\nConnection: close\r\n\r\n{}and more than was said", 422),
        (HEAD + b"Content-Length: -2\r\n\r\n{}", 400),
        (HEAD + b"Content-Length: two\r\n\r\n{}", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
        (b"GET / SPDY/1\r\n\r\n", 400),
        (b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 200_000, 400),
    ],
    ids=lambda each: str(each) if isinstance(each, int) else "",
)
def test_hostile_bytes_get_a_problem_and_the_line_is_closed(server, data, status):
    _, url, port = server
    found = exchange(port, data)
    head, _, body = found.partition(b"\r\n\r\n")
    assert head.split()[1] == b"%d" % status, found[:300]
    assert b"application/problem+json" in head
    assert json.loads(body)["status"] == status
    assert get(url + "/healthz")[0] == 200


DRIBBLING = {"head": HEAD, "body": HEAD + b"Content-Length: 500\r\n\r\n{"}


def dribble(port, sent):
    """Begin a request and go on a byte at a time; what comes back."""
    found = b""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as line:
        line.sendall(sent)
        for _ in range(60):  # a byte now and then does not buy more time
            time.sleep(0.5)
            try:
                line.sendall(b"a")
            except OSError:
                break
        with suppress(ConnectionError):
            while chunk := line.recv(65_536):
                found += chunk
    return found


@pytest.fixture(scope="module")
def slow_lines(server):
    """What slow lines are told, and one that says nothing: 15 s for all of them."""
    _, _, port = server
    with ThreadPoolExecutor(len(DRIBBLING) + 1) as lines:
        told = {name: lines.submit(dribble, port, sent) for name, sent in DRIBBLING.items()}
        told["silent"] = lines.submit(exchange, port, b"")
    return {name: line.result() for name, line in told.items()}


@pytest.mark.parametrize("name", DRIBBLING)
def test_a_request_that_dribbles_is_told_so_and_cut_off(slow_lines, name):
    found = slow_lines[name]
    assert b" 408 " in found.split(b"\r\n")[0], found[:300]
    assert b"application/problem+json" in found


def test_a_line_that_says_nothing_is_closed(slow_lines):
    assert slow_lines["silent"] == b""


def test_a_hundred_kilobytes_of_body_are_no_long_head(server):
    _, _, port = server
    again = HEAD + b"Content-Length: 2\r\nConnection: close\r\n\r\n{}"
    found = exchange(port, HEAD + b"Content-Length: 100000\r\n\r\n" + b"[" * 100_000 + again)
    assert found.count(b"HTTP/1.1 ") == 2, found[:300]


def test_two_megabytes_are_refused_before_they_are_read(server):
    _, _, port = server
    with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
        line.sendall(HEAD + b"Content-Length: 2097152\r\n\r\n")  # and not one byte of it
        assert b" 413 " in line.recv(65_536).split(b"\r\n")[0]


def test_a_client_that_leaves_in_the_middle_of_its_body_harms_nobody(server):
    _, url, port = server
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
            line.sendall(HEAD + b"Content-Length: 500\r\n\r\n{")
    assert get(url + "/readyz")[0] == 200


def test_alerts_resume_by_id_without_a_hole_or_a_repetition(server):
    _, url, port = server
    for n in range(4):
        for transaction in cycle(f"resume{n}", NOW + n * 3_000_000):
            post(port, transaction)
    first = alerts_of(port, -1, 2)
    rest = alerts_of(port, first[-1][0], 2)
    every = alerts_of(port, -1, 4)
    assert first + rest == every
    assert len({alert for _, alert in every}) == 4
    listed = get(f"{url}/v1/alerts?limit=4")[1]["alerts"]
    assert [each["alert_id"] for each in listed] == [alert for _, alert in every]


def test_killed_and_started_again_it_has_the_same_rings_and_says_the_same(tmp_path):
    data = tmp_path / "data"
    transactions = [each for n in range(3) for each in cycle(f"k{n}", NOW + n * 3_000_000)]
    with serving(data) as (process, url, port):
        said = [post(port, each) for each in transactions]
        deadline = time.monotonic() + 30
        while len(get(url + "/v1/rings")[1]["rings"]) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        rings = get(url + "/v1/rings")[1]
        details = [get(f"{url}/v1/rings/{each['ring_id']}")[1] for each in rings["rings"]]
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    with serving(data) as (process, url, port):
        assert get(url + "/v1/rings")[1] == rings
        assert [get(f"{url}/v1/rings/{each['ring_id']}")[1] for each in rings["rings"]] == details
        assert [post(port, each) for each in transactions] == said


def test_sigterm_ends_streams_answers_what_waits_and_leaves_a_checkpoint(tmp_path):
    data = tmp_path / "data"
    with serving(data) as (process, _, port):
        for transaction in cycle("t", NOW):
            post(port, transaction)
        with following(port, -1) as stream:
            assert stream.readline()
            process.send_signal(signal.SIGTERM)
            assert b"the server is closing" in stream.read()
        process.wait(30)
        assert process.returncode in (0, -signal.SIGTERM)
    assert list((data / "checkpoints").glob("*.checkpoint"))


def test_a_folder_has_one_server(server, folder):
    command = [sys.executable, "-m", "api.cli", "serve", "--data", str(folder), "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 4, done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_said_with_its_exit_code(server, tmp_path):
    _, _, port = server
    command = [sys.executable, "-m", "api.cli", "serve", "--data", str(tmp_path), "--port"]
    done = subprocess.run(
        [*command, str(port)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 4, done.stderr
    assert "Choose another port" in done.stderr
