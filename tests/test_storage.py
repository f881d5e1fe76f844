from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from catalog_gen import storage as storage_module
from catalog_gen.errors import ConfigError, TransientError, Unavailable
from catalog_gen.storage import PictureError, Storage, local_error, open_storage
from tests.storage_fixtures import S3Server, s3_server


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


@pytest.fixture(params=["local", "s3", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path, server: S3Server) -> Storage:
    if request.param == "local":
        return open_storage(str(tmp_path / "my pictures ü%"))
    if request.param == "memory":
        return open_storage(f"memory://shop/{tmp_path.name}")
    return open_storage(server.make_bucket(f"bucket-{os.urandom(4).hex()}") + "/night", server.options())


def local_path(uri: str) -> Path:
    return Path(unquote(urlsplit(uri).path))


def files_under(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


class TestBothKinds:
    def test_a_picture_comes_back_under_the_name_of_its_content(self, store: Storage) -> None:
        data = b"RIFF" + os.urandom(2_000)
        sha256 = hashlib.sha256(data).hexdigest()
        stored = store.put(data, "webp")
        assert stored.sha256 == sha256
        assert stored.size == 2_004
        assert stored.uri.endswith(f"/{sha256[:2]}/{sha256[2:4]}/{sha256}.webp")
        assert "://" in stored.uri
        assert store.exists(stored.uri)
        assert store.get(stored.uri) == data

    def test_put_many_keeps_the_order_and_doubles_nothing(self, store: Storage) -> None:
        pictures = [(bytes([number % 7]) * 50, "png" if number % 2 else "jpg") for number in range(40)]
        stored = store.put_many(pictures)
        assert [each.sha256 for each in stored] == [hashlib.sha256(data).hexdigest() for data, _ in pictures]
        assert [store.get(each.uri) for each in stored] == [data for data, _ in pictures]
        assert len({each.uri for each in stored}) == 14
        assert store.put_many(pictures) == stored
        assert store.put_many([]) == []

    def test_a_missing_picture_is_named(self, store: Storage) -> None:
        uri = store.put(b"there", "webp").uri
        gone = uri.replace(hashlib.sha256(b"there").hexdigest(), "0" * 64)
        assert not store.exists(gone)
        with pytest.raises(PictureError, match="is missing") as caught:
            store.get(gone)
        assert gone in str(caught.value)

    def test_an_address_without_a_hash_is_refused(self, store: Storage) -> None:
        with pytest.raises(PictureError, match="not the address of a stored picture"):
            store.get("file:///etc/passwd")

    def test_another_scheme_is_refused(self, store: Storage) -> None:
        with pytest.raises(PictureError, match="outside of the storage"):
            store.get(f"ftp://elsewhere/{'0' * 64}.webp")

    def test_probe_leaves_nothing(self, store: Storage, tmp_path: Path) -> None:
        store.probe()
        store.probe()
        assert files_under(tmp_path) == []

    def test_several_writers_at_once(self, store: Storage) -> None:
        shared = [(f"shared {number}".encode(), "webp") for number in range(10)]
        results: dict[int, list[str]] = {}

        def write(worker: int) -> None:
            own = [(f"{worker}-{number}".encode(), "webp") for number in range(10)]
            results[worker] = [each.uri for each in store.put_many(own + shared)]

        threads = [threading.Thread(target=write, args=(worker,)) for worker in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(results) == list(range(6))
        assert len({uri for uris in results.values() for uri in uris}) == 70
        assert all(store.get(uri) for uris in results.values() for uri in uris)

    @pytest.mark.parametrize("suffix", ["", ".webp", "../x", "WEBP"])
    def test_a_suffix_that_is_none(self, store: Storage, suffix: str) -> None:
        with pytest.raises(ValueError, match="not a file suffix"):
            store.put(b"x", suffix)


class TestLocal:
    def test_a_damaged_picture_names_both_hashes(self, tmp_path: Path) -> None:
        store = open_storage(str(tmp_path))
        stored = store.put(b"whole picture", "webp")
        local_path(stored.uri).write_bytes(b"whole pict")
        with pytest.raises(PictureError) as caught:
            store.get(stored.uri)
        message = str(caught.value)
        assert stored.uri in message
        assert stored.sha256 in message
        assert hashlib.sha256(b"whole pict").hexdigest() in message

    def test_storing_again_mends_a_damaged_picture(self, tmp_path: Path) -> None:
        store = open_storage(str(tmp_path))
        stored = store.put(b"whole picture", "webp")
        local_path(stored.uri).write_bytes(b"hole picture.")
        store.put(b"whole picture", "webp")
        assert store.get(stored.uri) == b"whole picture"

    def test_storing_again_does_not_write(self, tmp_path: Path) -> None:
        store = open_storage(str(tmp_path))
        path = local_path(store.put(b"picture", "webp").uri)
        before = path.stat()
        store.put(b"picture", "webp")
        assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)

    def test_a_relative_folder_gives_absolute_addresses(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        stored = open_storage("out/pictures").put(b"x", "png")
        monkeypatch.chdir("/")
        assert open_storage(str(tmp_path)).get(stored.uri) == b"x"

    def test_a_file_url_is_the_same_folder(self, tmp_path: Path) -> None:
        folder = tmp_path / "a b"
        stored = open_storage(folder.as_uri()).put(b"x", "png")
        assert open_storage(str(folder)).put(b"x", "png") == stored
        assert local_path(stored.uri).is_relative_to(folder)

    def test_a_folder_removed_between_two_puts_is_made_again(self, tmp_path: Path) -> None:
        store = open_storage(str(tmp_path))
        stored = store.put(b"x", "png")
        path = local_path(stored.uri)
        path.unlink()
        path.parent.rmdir()
        store.put(b"x", "png")
        assert store.get(stored.uri) == b"x"

    def test_probe_cleans_what_dead_writers_left_a_day_ago(self, tmp_path: Path) -> None:
        store = open_storage(str(tmp_path))
        store.probe()
        old, young, foreign = (tmp_path / ".tmp" / name for name in ("old.part", "young.part", "keep.txt"))
        for path in (old, young, foreign):
            path.write_bytes(b"half")
        for path in (old, foreign):
            os.utime(path, (time.time() - 90_000,) * 2)
        store.probe()
        assert sorted(path.name for path in (tmp_path / ".tmp").iterdir()) == ["keep.txt", "young.part"]

    @pytest.mark.parametrize("file_in_the_way", ["pictures", "parent"])
    def test_a_root_that_cannot_be_a_folder(self, tmp_path: Path, file_in_the_way: str) -> None:
        (tmp_path / file_in_the_way).write_text("a file")
        url = tmp_path / "pictures" if file_in_the_way == "pictures" else tmp_path / "parent" / "pictures"
        with pytest.raises(Unavailable) as caught:
            open_storage(str(url)).probe()
        assert str(url) in str(caught.value)
        assert "storage.url" in str(caught.value)

    def test_a_folder_that_vanishes_mid_run_is_not_made_anew(self, tmp_path: Path) -> None:
        folder = tmp_path / "mounted"
        store = open_storage(str(folder))
        store.put(b"x", "png")
        folder.rename(tmp_path / "unmounted")
        with pytest.raises(Unavailable, match="still mounted"):
            store.put(b"y", "png")
        assert not folder.exists()

    @pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
    def test_a_real_full_disk_ends_the_run(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The temporary file is /dev/full, whose every write fails with ENOSPC as a full disk's does."""
        store = open_storage(str(tmp_path))
        store.probe()
        real_open = os.open

        def open_full(path: Path, flags: int, mode: int = 0o777) -> int:
            return real_open("/dev/full" if flags & os.O_CREAT else path, flags & ~(os.O_CREAT | os.O_EXCL), mode)

        monkeypatch.setattr(storage_module.os, "open", open_full)
        with pytest.raises(Unavailable, match="the disk is full") as caught:
            store.put_many([(b"a", "png"), (b"b", "png")])
        assert "Free some space" in str(caught.value)

    @pytest.mark.parametrize(
        ("number", "kind"),
        [
            (errno.ENOSPC, Unavailable),
            (errno.EDQUOT, Unavailable),
            (errno.EROFS, Unavailable),
            (errno.EACCES, Unavailable),
            (errno.ENOTDIR, Unavailable),
            (errno.EIO, TransientError),
            (errno.ESTALE, TransientError),
            (errno.EMFILE, TransientError),
            (errno.ETIMEDOUT, TransientError),
        ],
    )
    def test_what_each_error_means(self, number: int, kind: type[Exception]) -> None:
        error = local_error(OSError(number, os.strerror(number), "/pictures/.tmp/x"), "/pictures")
        assert type(error) is kind
        assert os.strerror(number) in str(error)
        assert "/pictures/.tmp/x" in str(error)

    def test_a_writer_killed_at_any_moment_leaves_no_half_picture(self, tmp_path: Path) -> None:
        """Names hold whole pictures or nothing, and the next run stores the same ones again without trouble."""
        program = textwrap.dedent("""
            import sys
            from catalog_gen.storage import open_storage
            store = open_storage(sys.argv[1])
            print("go", flush=True)
            batch = 0
            while True:
                store.put_many([(f"{batch}-{n}".encode() * 500, "webp") for n in range(20)])
                batch += 1
        """)
        for delay in (0.02, 0.05, 0.11, 0.23):
            with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE) as process:
                assert process.stdout
                process.stdout.readline()
                time.sleep(delay)
                process.kill()
        store = open_storage(str(tmp_path))
        store.probe()
        pictures = [path for path in files_under(tmp_path) if path.parent.name != ".tmp"]
        assert len(pictures) >= 20
        assert all(store.get(path.as_uri()) for path in pictures)
        store.put_many([(f"0-{n}".encode() * 500, "webp") for n in range(20)])


class TestS3:
    def test_the_object_is_in_the_bucket_with_its_media_type(self, server: S3Server) -> None:
        import boto3

        url = server.make_bucket("typed")
        stored = open_storage(url, server.options()).put(b"picture", "webp")
        client = boto3.client("s3", endpoint_url=server.endpoint, region_name="us-east-1",
                              aws_access_key_id="testing", aws_secret_access_key="testing")  # fmt: skip
        answer = client.get_object(Bucket="typed", Key=stored.uri.removeprefix("s3://typed/"))
        assert answer["ContentType"] == "image/webp"
        assert answer["Body"].read() == b"picture"

    def test_a_damaged_object_names_both_hashes(self, server: S3Server) -> None:
        import s3fs

        store = open_storage(server.make_bucket("damaged"), server.options())
        stored = store.put(b"whole", "webp")
        s3fs.S3FileSystem(**server.options()).pipe_file(stored.uri, b"half")
        with pytest.raises(PictureError) as caught:
            store.get(stored.uri)
        assert stored.sha256 in str(caught.value)
        assert hashlib.sha256(b"half").hexdigest() in str(caught.value)

    def test_a_read_only_bucket_ends_the_run(self, server: S3Server) -> None:
        store = open_storage(server.make_bucket("readonly"), server.options())
        server.read_only = True
        try:
            for call in (store.probe, lambda: store.put(b"x", "webp")):
                with pytest.raises(Unavailable, match=r"s3://readonly: may not be written.*s3:PutObject"):
                    call()
        finally:
            server.read_only = False
        store.probe()

    def test_a_missing_bucket_ends_the_run(self, server: S3Server) -> None:
        with pytest.raises(Unavailable, match=r"s3://no-such-bucket: no such bucket"):
            open_storage("s3://no-such-bucket", server.options()).probe()

    def test_wrong_keys_say_what_to_set(self, server: S3Server) -> None:
        store = open_storage(server.make_bucket("keys"), server.options())
        server.fail_next(1, "InvalidAccessKeyId")
        with pytest.raises(Unavailable, match="AWS_ACCESS_KEY_ID"):
            store.probe()

    def test_no_keys_say_what_to_set(self, server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        for name in (
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_PROFILE",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        ):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        options = {"endpoint_url": server.endpoint}
        with pytest.raises(Unavailable, match=r"no valid credentials.*AWS_PROFILE"):
            open_storage("s3://keys", options).probe()

    def test_an_invalid_bucket_name(self, server: S3Server) -> None:
        with pytest.raises(Unavailable, match="refuses the request"):
            open_storage("s3://No_such!name", server.options()).probe()

    @pytest.mark.parametrize("code", ["InternalError", "ServiceUnavailable"])
    def test_a_store_in_trouble_is_worth_a_retry(self, server: S3Server, code: str) -> None:
        store = open_storage(server.make_bucket(f"trouble-{code.lower()}"), server.options())
        server.fail_next(50, code)
        with pytest.raises(TransientError, match=code):
            store.put(b"x", "webp")
        server.fail_next(0)
        assert store.get(store.put(b"x", "webp").uri) == b"x"

    def test_a_short_throttling_passes_unseen(self, server: S3Server) -> None:
        store = open_storage(server.make_bucket("throttled"), server.options())
        server.fail_next(2, "SlowDown")
        assert store.get(store.put(b"x", "webp").uri) == b"x"

    def test_a_server_that_is_down_and_comes_back(self, server: S3Server) -> None:
        store = open_storage(server.make_bucket("down"), server.options())
        server.stop()
        try:
            started = time.monotonic()
            with pytest.raises(TransientError, match="Could not connect"):
                store.put_many([(bytes([number]), "webp") for number in range(5)])
            assert time.monotonic() - started < 20  # the job's own backoff decides how long to wait, not ours
        finally:
            server.start()
        assert len(store.put_many([(bytes([number]), "webp") for number in range(5)])) == 5


class TestOpening:
    @pytest.mark.parametrize("url", ["", "  ", "s3://", "file://", "gs:///"])
    def test_a_url_that_names_nothing(self, url: str) -> None:
        with pytest.raises(ConfigError, match="names no folder or bucket"):
            open_storage(url)

    def test_an_unknown_scheme(self) -> None:
        with pytest.raises(ConfigError, match="Protocol not known: zz"):
            open_storage("zz://bucket")

    def test_credentials_in_the_url_are_refused_and_not_repeated(self) -> None:
        with pytest.raises(ConfigError, match=r"\[storage.options\]") as caught:
            open_storage("s3://name:hunter2@bucket")
        assert "hunter2" not in str(caught.value)

    @pytest.mark.parametrize(
        ("url", "module", "install"),
        [("s3://b/p", "s3fs", "pip install 'catalog-gen[s3]'"), ("gs://b/p", "gcsfs", "pip install gcsfs")],
    )
    def test_a_missing_package_says_what_to_install(self, url: str, module: str, install: str) -> None:
        """In a fresh interpreter, where the package cannot be imported."""
        program = f"import sys; sys.modules[{module!r}] = None\nfrom catalog_gen.storage import open_storage\n"
        program += f"try: open_storage({url!r})\nexcept Exception as error: print(type(error).__name__, error)"
        answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
        assert answer.startswith("Unavailable")
        assert install in answer

    def test_a_store_without_atomic_put_gets_a_rename(self, tmp_path: Path) -> None:
        import fsspec
        from fsspec.implementations.local import LocalFileSystem

        calls: list[tuple[str, str]] = []

        class Share(LocalFileSystem):  # type: ignore[misc]
            protocol = "share"

            @classmethod
            def _strip_protocol(cls, path: str) -> str:
                return str(super()._strip_protocol(path.removeprefix("share://")))

            def pipe_file(self, path: str, value: bytes, **kwargs: object) -> None:
                calls.append(("write", path))
                super().pipe_file(path, value)

            def mv(self, path1: str, path2: str, **kwargs: object) -> None:
                calls.append(("rename", path2))
                super().mv(path1, path2)

        fsspec.register_implementation("share", Share, clobber=True)
        store = open_storage(f"share://{tmp_path}")
        stored = store.put(b"x", "png")
        assert store.get(stored.uri) == b"x"
        assert [name for name, _ in calls] == ["write", "rename"]
        assert calls[0][1].endswith(".part")
        assert calls[1][1].endswith(f"{stored.sha256}.png")
