"""Files in object storage, by URL: whole files up and down, checked, with errors that say what to do.

    s3://bucket/folder   gs://...   az://...   file:///folder

One library (obstore, the extra `cloud`) reaches all of them and retries temporary failures; only `get`, `head` and
`put` are used. Immutable files are named by their SHA-256 and kept in a local cache of bounded size.
"""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Collection, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast

from counterpoint.core.errors import StoreError
from counterpoint.store.files.layout import sha256_hex

if TYPE_CHECKING:
    from obstore.store import ObjectStore, S3Config

logger = logging.getLogger(__name__)

ATTEMPTS = 3
"""How often a corrupted file is fetched before it is an error."""


class ObjectFolder:
    """A folder in object storage; survives pickling."""

    def __init__(self, url: str, options: Mapping[str, str] | None = None, *, retries: int = 5) -> None:
        """Open the folder; no request is sent yet.

        Args:
            url: the folder.
            options: settings of obstore's store: `endpoint`, `region`, `access_key_id`, `secret_access_key`, ...;
                what is not given comes from the environment (`AWS_ACCESS_KEY_ID`, ...).
            retries: how often a request is repeated after a temporary failure.

        Raises:
            StoreError: not a URL that can be opened.
            ModuleNotFoundError: obstore is not installed.
        """
        self.url = url.rstrip("/")
        self._options = dict(options or {})
        self._retries = retries
        self._store = self._opened()

    def __reduce__(self) -> tuple[object, ...]:
        """Open the folder again in the other process."""
        return _again, (self.url, self._options, self._retries)

    def _opened(self) -> ObjectStore:
        try:
            from obstore.exceptions import BaseError
            from obstore.store import from_url
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "object storage needs obstore: pip install 'counterpoint[cloud]'", name="obstore"
            ) from error
        try:
            if self.url.startswith("file:"):
                return from_url(self.url, mkdir=True)
            return from_url(
                self.url,
                config=cast("S3Config", self._options),  # or another service's: obstore checks the names
                client_options={"allow_http": True, "timeout": timedelta(seconds=120)},
                retry_config={"max_retries": self._retries, "retry_timeout": timedelta(seconds=60)},
            )
        except (BaseError, ValueError, TypeError) as error:
            raise StoreError(
                f"{self.url}: cannot open this URL ({_first_line(error)}); expected s3://bucket/folder, gs://..., "
                "az://... or file:///folder, and settings that obstore knows"
            ) from error

    def get(self, name: str) -> bytes:
        """Return a file.

        Raises:
            StoreError: not there, not allowed, or the service cannot be reached.
        """
        import obstore
        from obstore.exceptions import BaseError

        try:
            return bytes(obstore.get(self._store, name).bytes())
        except (BaseError, OSError) as error:
            raise self._explained(name, error) from error

    def put(self, name: str, data: bytes) -> None:
        """Write a file, replacing one of that name; raises StoreError as `get`."""
        import obstore
        from obstore.exceptions import BaseError

        try:
            obstore.put(self._store, name, data)
        except (BaseError, OSError) as error:
            raise self._explained(name, error) from error

    def has(self, name: str, size: int) -> bool:
        """Whether a file of that size is there; raises StoreError as `get`."""
        import obstore
        from obstore.exceptions import BaseError

        try:
            return int(obstore.head(self._store, name)["size"]) == size
        except FileNotFoundError:
            return False
        except (BaseError, OSError) as error:
            raise self._explained(name, error) from error

    def _explained(self, name: str, error: Exception) -> StoreError:
        from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

        said = str(error)
        where = f"{self.url}/{name}"
        if "NoSuchBucket" in said:
            return StoreError(f"{where}: there is no such bucket; check the URL, the endpoint and the region")
        if isinstance(error, FileNotFoundError):
            return StoreError(
                f"{where}: not found; check the URL, or publish with 'counterpoint prepare STORE --publish {self.url}'"
            )
        refused = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "403 Forbidden", "401 Unauthorized")
        if isinstance(error, PermissionError | PermissionDeniedError | UnauthenticatedError) or any(
            word in said for word in refused
        ):
            return StoreError(
                f"{where}: access refused; check the credentials (access_key_id and secret_access_key, or "
                f"AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY) and their rights ({_first_line(error)})"
            )
        return StoreError(f"{where}: cannot be reached after {self._retries} retries ({_first_line(error)})")


class FileCache:
    """Files of an ObjectFolder that never change, kept on the local disk up to a number of bytes.

    The least recently used files are removed first. Processes may share a folder: files appear by rename, their
    modification times record their last use, and a file that another process removed is fetched again.
    """

    def __init__(self, source: ObjectFolder, folder: Path, limit_bytes: int) -> None:
        """Use `folder`, made where it is absent; what it holds from earlier runs counts."""
        self.folder = folder
        self.fetched = 0
        """Files fetched by this process."""
        self._source = source
        self._limit = limit_bytes
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def num_bytes(self) -> int:
        """Bytes of all files in the cache."""
        return sum(size for _, size, _ in self._listed())

    def path(self, name: str, size: int, keep: Collection[str] = ()) -> Path:
        """Return where a file lies now, fetched if need be.

        Args:
            name: `<sha256>.arrow`.
            size: bytes that it must have.
            keep: names of files that must not go to make room.

        Raises:
            StoreError: it cannot be fetched, or its bytes are wrong each time.
        """
        path = self.folder / name
        try:
            if path.stat().st_size == size:
                os.utime(path)
                return path
        except FileNotFoundError:
            pass
        data = self._fetched(name, size)
        self._make_room(size, {name, *keep})
        part = self.folder / f"{name}.{uuid.uuid4().hex}.part"
        part.write_bytes(data)
        os.replace(part, path)
        return path

    def _fetched(self, name: str, size: int) -> bytes:
        said = ""
        for _ in range(ATTEMPTS):
            data = self._source.get(name)
            self.fetched += 1
            if len(data) != size:
                said = f"truncated: expected {size} bytes, got {len(data)}"
            elif f"{sha256_hex(data)}.arrow" != name:
                said = "its content does not match its name, which is its SHA-256"
            else:
                return data
            logger.warning("%s/%s: %s", self._source.url, name, said)
        raise StoreError(f"{self._source.url}/{name}: {said} (after {ATTEMPTS} attempts); publish the views again")

    def _make_room(self, size: int, keep: Collection[str]) -> None:
        files = sorted(self._listed())
        total = sum(each for _, each, _ in files) + size
        for _, each, path in files:
            if total <= self._limit:
                return
            if path.name not in keep:
                path.unlink(missing_ok=True)
                total -= each

    def _listed(self) -> list[tuple[int, int, Path]]:
        """Return time of use, size and path of every file, also of those half written."""
        found: list[tuple[int, int, Path]] = []
        for path in self.folder.iterdir():
            try:
                status = path.stat()
            except FileNotFoundError:
                continue  # another process made room
            found.append((status.st_mtime_ns, status.st_size, path))
        return found


def _again(url: str, options: Mapping[str, str], retries: int) -> ObjectFolder:
    return ObjectFolder(url, options, retries=retries)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
