"""Fetching against a server of our own: resuming, checksums, and everything that can go wrong."""

from __future__ import annotations

import hashlib
import http.server
import io
import re
import shutil
import socket
import threading
import zipfile

import pytest
import yaml

from recbole_guider.data.__main__ import main
from recbole_guider.data.commands import download, parser
from recbole_guider.data.commands.download import Plan, RemoteFile, fetch, fetch_all, plan_of
from recbole_guider.data.prepare import sources
from recbole_guider.errors import InputError
from recbole_guider.property_layers import names, properties_folder

DATA = bytes(range(256)) * 4000  # about a megabyte
SHA = hashlib.sha256(DATA).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves ``server.files``; the server's settings say how badly."""

    def do_GET(self):
        server = self.server
        wanted = self.headers.get("Range")
        server.asked.append(wanted)
        data = server.files.get(self.path)
        if server.refuse:
            self.send_error(server.refuse.pop(0))
            return
        if data is None:
            self.send_error(404)
            return
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted and server.ranges else 0
        if self.headers.get("If-Range") not in (None, server.tag):
            start = 0
        if start >= len(data) > 0:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(data)}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        if server.tag:
            self.send_header("ETag", server.tag)
        self.end_headers()
        rest = data[start:]
        cut = server.cuts.pop(0) if server.cuts else len(rest)
        self.wfile.write(rest[:cut])

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(download, "_WAIT", 0.0)
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.files, made.asked, made.cuts, made.refuse = {"/data.b": DATA}, [], [], []
    made.handle_error = lambda *_: None  # clients that leave early are part of the tests
    made.ranges, made.tag = True, '"one"'
    thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    made.url = f"http://127.0.0.1:{made.server_port}"
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


@pytest.fixture
def get(server, tmp_path):
    """Fetches /data.b; returns the bytes and what was told."""

    def get(sha256=SHA, size=None, path="/data.b"):
        told: list[str] = []
        done = fetch(RemoteFile(server.url + path, sha256, size), tmp_path, told.append)
        return done.read_bytes(), " ".join(told)

    return get


def kept(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_arrives_whole_with_its_checksum(get, tmp_path):
    data, told = get()
    assert data == DATA
    assert SHA in told
    assert kept(tmp_path) == [".checksums", "data.b"]


@pytest.mark.parametrize("cuts", [[1000], [1000, 300_000, 1], [0, 5]])
def test_a_cut_connection_is_resumed_where_it_stopped(cuts, server, get):
    server.cuts = list(cuts)
    assert get()[0] == DATA
    places = [f"bytes={sum(cuts[:k])}-" if sum(cuts[:k]) else None for k in range(len(cuts) + 1)]
    assert server.asked == places


def test_what_arrived_is_kept_for_the_next_run(server, get, tmp_path):
    server.cuts = [200_000, 0, 0, 0, 0]
    with pytest.raises(InputError, match=r"cut 5 times.*200,000 bytes have arrived.*goes on from"):
        get()
    assert (tmp_path / "data.b.part").stat().st_size == 200_000
    assert not (tmp_path / "data.b").exists()
    server.asked.clear()
    assert get()[0] == DATA
    assert server.asked == ["bytes=200000-"]


def test_a_file_that_changed_meanwhile_is_fetched_whole(server, get):
    server.cuts = [200_000, 0, 0, 0, 0]
    with pytest.raises(InputError):
        get(sha256=None)
    server.files["/data.b"], server.tag = DATA[::-1], '"two"'
    assert get(sha256=None)[0] == DATA[::-1]


def test_without_a_checksum_and_a_version_nothing_is_resumed(server, get):
    server.tag, server.cuts = "", [200_000]
    assert get(sha256=None)[0] == DATA
    assert server.asked == [None, None]


def test_a_server_without_ranges_sends_it_again(server, get):
    server.ranges, server.cuts = False, [200_000]
    assert get()[0] == DATA
    assert server.asked == [None, "bytes=200000-"]


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_busy_server_is_asked_again(status, server, get):
    server.refuse = [status, status]
    assert get()[0] == DATA
    assert len(server.asked) == 3


def test_everything_had_arrived_before(server, get, tmp_path):
    (tmp_path / "data.b.part").write_bytes(DATA)
    assert get()[0] == DATA
    assert server.asked == [f"bytes={len(DATA)}-"]  # answered 416


def test_with_a_known_size_nothing_is_asked_then(server, get, tmp_path):
    (tmp_path / "data.b.part").write_bytes(DATA)
    assert get(size=len(DATA))[0] == DATA
    assert server.asked == []


def test_more_than_the_file_had_arrived(server, get, tmp_path):
    (tmp_path / "data.b.part").write_bytes(DATA + b"x")
    assert get()[0] == DATA


def test_a_complete_file_is_not_fetched_again(server, get):
    get()
    server.asked.clear()
    data, told = get()
    assert data == DATA
    assert "is there already" in told
    assert server.asked == []


@pytest.mark.parametrize("again", [False, True])
def test_a_wrong_checksum_is_refused_and_begun_anew(again, server, get, tmp_path):
    server.files["/data.b"] = DATA[:-1] + b"x"
    for _ in range(1 + again):
        with pytest.raises(InputError, match=f"has SHA-256 .*; expected {SHA}, as published"):
            get()
    assert not (tmp_path / "data.b").exists()
    assert not (tmp_path / "data.b.part").exists()
    server.files["/data.b"] = DATA
    assert get()[0] == DATA


def test_without_a_published_checksum_the_first_one_holds(server, get, tmp_path):
    _, told = get(sha256=None)
    assert "no checksum is published" in told
    (tmp_path / "data.b").write_bytes(b"spoilt")
    with pytest.raises(InputError, match=f"expected {SHA}, as kept from the first download"):
        get(sha256=None)
    (tmp_path / "data.b").unlink()
    server.files["/data.b"] = b"another version"
    with pytest.raises(InputError, match="as kept from the first download"):
        get(sha256=None)


def test_another_length_is_refused_before_it_is_fetched(get, tmp_path):
    with pytest.raises(InputError, match=r"is 1,024,000 bytes long; expected 7"):
        get(size=7)
    assert not (tmp_path / "data.b").exists()


def test_a_missing_file_is_one_line(server, get, tmp_path):
    with pytest.raises(InputError, match=r"/none.b: the place answers 404.*by hand") as error:
        get(path="/none.b")
    assert "\n" not in str(error.value)
    assert kept(tmp_path) == []


def test_offline_is_one_line(get, server, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/data.b"
    with pytest.raises(InputError, match=r"cannot be reached.*network.*by hand"):
        fetch(RemoteFile(url), tmp_path)
    with pytest.raises(InputError, match="cannot be reached"):
        fetch(RemoteFile("http://no-such-host.invalid/data.b"), tmp_path)
    assert kept(tmp_path) == []


def test_a_silent_server_is_left(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_TIMEOUT", 0.05)
    monkeypatch.setattr(download, "_ATTEMPTS", 2)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        url = f"http://127.0.0.1:{mute.getsockname()[1]}/data.b"
        with pytest.raises(InputError, match="timed out"):
            fetch(RemoteFile(url), tmp_path)


def test_a_full_disk_is_told_before_and_while_writing(server, get, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
        with pytest.raises(InputError, match=r"1,024,000 bytes are to come, 1,000 are free"):
            get()
    (tmp_path / "data.b.part").symlink_to("/dev/full")
    with pytest.raises(InputError, match=r"No space left on device.*goes on from there"):
        get()
    (tmp_path / "data.b.part").unlink()
    assert get()[0] == DATA


def archive(**members: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as opened:
        for name, text in members.items():
            opened.writestr(name, text)
    return stream.getvalue()


def test_archives_are_unpacked(server, tmp_path):
    server.files["/ml.zip"] = archive(**{"ml/ratings.dat": "1", "ml/movies.dat": "2"})
    plan = Plan("movielens", (RemoteFile(server.url + "/ml.zip"),), "ml")
    folder = fetch_all(plan, tmp_path, lambda _: None)
    assert kept(folder) == ["movies.dat", "ratings.dat"]


@pytest.mark.parametrize("data", [b"<html>moved</html>", archive(**{"../evil": "x"})])
def test_what_is_no_sound_archive_is_refused(data, server, tmp_path):
    server.files["/ml.zip"] = data
    plan = Plan("movielens", (RemoteFile(server.url + "/ml.zip"),))
    with pytest.raises(InputError, match=r"ml\.zip: (is no archive|its member '\.\./evil')"):
        fetch_all(plan, tmp_path / "raw", lambda _: None)
    assert not (tmp_path / "evil").exists()


def test_the_command_fetches_and_prepares(server, tmp_path, capsys, monkeypatch):
    rows = "".join(f"{u}\t{i}\t0\n{u}\t{i + 1}\t{1 + u % 2}\n" for u, i in enumerate([0, 1, 0]))
    server.files["/toy.inter"] = f"userID\titemID\tx_label\n{rows}".encode()
    plan = Plan("mmrec", (RemoteFile(server.url + "/toy.inter"),))
    monkeypatch.setattr("recbole_guider.data.commands.parser.plan_of", lambda _: plan)
    given = ["download", "toy", f"--data_path={tmp_path}"]
    assert main(given) == 0
    assert (tmp_path / "toy" / "toy.inter").is_file()
    assert (
        hashlib.sha256(server.files["/toy.inter"]).hexdigest()
        in (tmp_path / "toy" / "toy.manifest.json").read_text()
    )
    capsys.readouterr()
    assert main(given) == 2
    assert "exists already" in capsys.readouterr().err


def sections():
    folder = properties_folder() / "dataset"
    contents = {name: (folder / f"{name}.yaml").read_text() for name in names("dataset")}
    return [name for name, text in contents.items() if "download" in yaml.safe_load(text)]


@pytest.mark.parametrize("name", sections())
def test_every_section_names_a_source_and_files(name):
    plan = plan_of(name)
    assert plan.source in sources.SOURCES
    given = ["prepare", plan.source, "--from", "raw", "--name", "x", *plan.arguments()]
    assert parser._parser().parse_args(given).source is sources.SOURCES[plan.source]
    assert all(file.url.startswith("https://") and file.name for file in plan.files)
    assert len({file.name for file in plan.files}) == len(plan.files)
    assert all(file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256)
               for file in plan.files)  # fmt: skip


def test_a_data_set_without_a_place_says_how_to_get_it():
    with pytest.raises(InputError, match=r"no official place.*prepare mmrec"):
        plan_of("tiktok")
