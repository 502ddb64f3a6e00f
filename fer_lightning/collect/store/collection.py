"""The collection: one SQLite database of facts in the order in which they were recorded, and image files.

An image file is named by the SHA-256 of its content. Rows are only added, never changed. Views select the latest row
(`current_face`: the latest face of each image). So a step can be stopped at any moment without losing a recorded row,
and every lost image keeps the reason of its loss. Only `purge.py` deletes rows.

    page       one search request and its result; the next cursor of a query is that of its last answered page
    quota      the limits that a provider reported
    candidate  an image that a provider offers, as first found; one row per provider and provider_id
    licence    licence and creator of a candidate; a new row is added when they change
    finding    the page that offered a candidate, and the candidate's rank on it
    fetch      one attempt to download and decode a candidate
    picture    one row per distinct image, by the SHA-256 of the downloaded bytes
    face       the result of face detection on an image under one set of rules, with the crop: see `form.py`
    likeness   two faces, or a face and a row of FER2013, whose images or crops are similar
    deduped    whether a face is kept or is a copy of another face
    decision   one decision of a reviewer, by the id that the browser gave it
    settled    the label that results from a face's decisions, and its split
    export     one written export
    denied     hashes of what must never be collected again
"""

import os
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fer_lightning.errors import UserError
from fer_lightning.files import TEMPORARY, take_lock

FILE = "collection.sqlite3"
REPORTS = FUNNEL, LOST = "funnel.csv", "lost.csv"  # files of `tally`
_IMAGE = r"[0-9a-f]{64}\.jpg"
_STORED = re.compile(_IMAGE)
_UNFINISHED = re.compile(rf"\.({_IMAGE}|[\w.-]+\.(csv|md|json)|\.collection)\.\d+\{TEMPORARY}")
VERSION = 1
WAIT = 30.0  # maximum seconds to wait for another process's transaction

TABLES = """
CREATE TABLE page (
  id INTEGER PRIMARY KEY, time TEXT NOT NULL, provider TEXT NOT NULL, emotion TEXT NOT NULL, query TEXT NOT NULL,
  language TEXT NOT NULL, cursor TEXT, next_cursor TEXT, status TEXT NOT NULL CHECK (status IN ('answered', 'failed')),
  reason TEXT, found INTEGER NOT NULL DEFAULT 0, response_sha256 TEXT, config_hash TEXT, version TEXT NOT NULL
);
CREATE INDEX page_of_query ON page (provider, query, language);
CREATE TABLE quota (
  id INTEGER PRIMARY KEY, time TEXT NOT NULL, provider TEXT NOT NULL, remaining INTEGER, resets_at TEXT, detail TEXT
);
CREATE TABLE candidate (
  id INTEGER PRIMARY KEY, time TEXT NOT NULL, provider TEXT NOT NULL, provider_id TEXT NOT NULL,
  image_url TEXT NOT NULL, landing_url TEXT, title TEXT, creator TEXT, creator_url TEXT,
  licence TEXT, licence_version TEXT, licence_url TEXT, licence_source TEXT, licence_checked_at TEXT,
  attribution TEXT, restrictions TEXT, width INTEGER, height INTEGER, tags TEXT, raw_sha256 TEXT,
  UNIQUE (provider, provider_id)
);
CREATE TABLE licence (
  id INTEGER PRIMARY KEY, time TEXT NOT NULL, candidate INTEGER NOT NULL REFERENCES candidate,
  licence TEXT, licence_version TEXT, licence_url TEXT, licence_source TEXT, creator TEXT, creator_url TEXT,
  attribution TEXT, restrictions TEXT
);
CREATE INDEX licence_of_candidate ON licence (candidate);
CREATE TABLE finding (
  page INTEGER NOT NULL REFERENCES page, candidate INTEGER NOT NULL REFERENCES candidate, rank INTEGER NOT NULL,
  PRIMARY KEY (page, candidate)
) WITHOUT ROWID;
CREATE INDEX finding_of_candidate ON finding (candidate);
CREATE TABLE fetch (
  id INTEGER PRIMARY KEY, time TEXT NOT NULL, candidate INTEGER NOT NULL REFERENCES candidate,
  status TEXT NOT NULL CHECK (status IN ('stored', 'refused', 'failed')),
  stage TEXT NOT NULL CHECK (stage IN ('fetch', 'decode')), reason TEXT, detail TEXT,
  final_url TEXT, http_status INTEGER, content_type TEXT, bytes INTEGER, etag TEXT, last_modified TEXT,
  x_robots_tag TEXT, image TEXT
);
CREATE INDEX fetch_of_candidate ON fetch (candidate);
CREATE INDEX fetch_of_image ON fetch (image);
CREATE TABLE picture (
  image TEXT PRIMARY KEY, time TEXT NOT NULL, file TEXT NOT NULL, format TEXT NOT NULL,
  width INTEGER NOT NULL, height INTEGER NOT NULL, stored_width INTEGER NOT NULL, stored_height INTEGER NOT NULL,
  phash INTEGER NOT NULL, phash_mirrored INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE face (
  id INTEGER PRIMARY KEY, time TEXT NOT NULL, image TEXT NOT NULL REFERENCES picture, rules TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('face', 'refused')), reason TEXT,
  detector TEXT NOT NULL, model_sha256 TEXT, opencv_version TEXT NOT NULL, n_faces INTEGER NOT NULL,
  score REAL, box TEXT, landmarks TEXT, roll_deg REAL, face_px REAL, ambiguous INTEGER,
  crop_box TEXT, resize_filter TEXT, crop BLOB, crop_id TEXT, phash INTEGER, phash_mirrored INTEGER
);
CREATE INDEX face_of_image ON face (image);
CREATE TABLE likeness (
  id INTEGER PRIMARY KEY, time TEXT NOT NULL, face INTEGER NOT NULL REFERENCES face,
  other_face INTEGER REFERENCES face, fer2013_digest TEXT, fer2013_usage TEXT,
  kind TEXT NOT NULL CHECK (kind IN ('picture', 'crop')),
  distance INTEGER NOT NULL, mirrored INTEGER NOT NULL, correlation REAL,
  CHECK ((other_face IS NULL) <> (fer2013_digest IS NULL))
);
CREATE INDEX likeness_of_face ON likeness (face);
CREATE INDEX likeness_of_other ON likeness (other_face);
CREATE TABLE deduped (
  id INTEGER PRIMARY KEY, time TEXT NOT NULL, face INTEGER NOT NULL REFERENCES face,
  status TEXT NOT NULL CHECK (status IN ('unique', 'copy')), reason TEXT, kept_face INTEGER REFERENCES face,
  fer2013 TEXT
);
CREATE INDEX deduped_of_face ON deduped (face);
CREATE TABLE decision (
  id INTEGER PRIMARY KEY, event TEXT NOT NULL UNIQUE, time TEXT NOT NULL, received TEXT NOT NULL,
  face INTEGER NOT NULL REFERENCES face, pass INTEGER NOT NULL CHECK (pass IN (1, 2)), annotator TEXT NOT NULL,
  action TEXT NOT NULL CHECK (action IN ('accept', 'reject', 'unsure', 'duplicate', 'minor', 'illustration', 'undo')),
  label TEXT, undoes TEXT, ms_spent INTEGER, page_version TEXT,
  CHECK ((action = 'accept') = (label IS NOT NULL)), CHECK ((action = 'undo') = (undoes IS NOT NULL))
);
CREATE INDEX decision_of_face ON decision (face, pass, annotator);
CREATE TABLE settled (
  id INTEGER PRIMARY KEY, time TEXT NOT NULL, face INTEGER NOT NULL REFERENCES face,
  outcome TEXT NOT NULL CHECK (outcome IN ('accepted', 'rejected', 'open')), label TEXT, reason TEXT,
  usage TEXT, cluster INTEGER
);
CREATE INDEX settled_of_face ON settled (face);
CREATE TABLE export (
  id INTEGER PRIMARY KEY, time TEXT NOT NULL, folder TEXT NOT NULL, rows INTEGER NOT NULL, releasable INTEGER NOT NULL,
  sha256 TEXT NOT NULL
);
CREATE TABLE denied (
  id INTEGER PRIMARY KEY, time TEXT NOT NULL, kind TEXT NOT NULL CHECK (kind IN ('image', 'picture', 'url', 'creator')),
  value TEXT NOT NULL, reason TEXT, UNIQUE (kind, value)
);
CREATE TABLE purging (running INTEGER PRIMARY KEY);
CREATE VIEW current_licence AS SELECT * FROM licence WHERE NOT EXISTS (
  SELECT 1 FROM licence AS later WHERE later.candidate = licence.candidate AND later.id > licence.id
);
CREATE VIEW first_page AS SELECT candidate, min(page) AS page FROM finding GROUP BY candidate;
CREATE VIEW source AS SELECT DISTINCT image, candidate FROM fetch WHERE status = 'stored';
CREATE VIEW owner AS SELECT image, min(candidate) AS candidate FROM source GROUP BY image;
CREATE VIEW current_fetch AS SELECT * FROM fetch WHERE NOT EXISTS (
  SELECT 1 FROM fetch AS later WHERE later.candidate = fetch.candidate AND later.id > fetch.id
);
CREATE VIEW current_face AS SELECT * FROM face WHERE NOT EXISTS (
  SELECT 1 FROM face AS later WHERE later.image = face.image AND later.id > face.id
);
CREATE VIEW current_deduped AS SELECT * FROM deduped WHERE NOT EXISTS (
  SELECT 1 FROM deduped AS later WHERE later.face = deduped.face AND later.id > deduped.id
);
CREATE VIEW done_decision AS SELECT * FROM decision
WHERE action <> 'undo' AND event NOT IN (SELECT undoes FROM decision WHERE undoes IS NOT NULL);
CREATE VIEW standing_decision AS SELECT * FROM done_decision AS this WHERE NOT EXISTS (
  SELECT 1 FROM done_decision AS later WHERE later.face = this.face AND later.pass = this.pass
    AND later.annotator = this.annotator AND (later.time, later.id) > (this.time, this.id)
);
CREATE VIEW current_settled AS SELECT * FROM settled WHERE NOT EXISTS (
  SELECT 1 FROM settled AS later WHERE later.face = settled.face AND later.id > settled.id
);
CREATE VIEW unique_face AS SELECT face.* FROM current_face AS face
JOIN current_deduped AS deduped ON deduped.face = face.id WHERE face.status = 'face' AND deduped.status = 'unique';
CREATE VIEW accepted_face AS SELECT settled.* FROM current_settled AS settled
JOIN unique_face ON unique_face.id = settled.face WHERE settled.outcome = 'accepted';
"""
# Tables whose rows are only added, never changed.
FACTS = (
    "page",
    "quota",
    "candidate",
    "licence",
    "finding",
    "fetch",
    "picture",
    "face",
    "likeness",
    "deduped",
    "decision",
    "settled",
    "export",
    "denied",
)
GUARDS = "".join(
    f"""
CREATE TRIGGER {table}_never_changes BEFORE UPDATE ON "{table}"
BEGIN SELECT RAISE(ABORT, '{table}: rows are only added, never changed'); END;
CREATE TRIGGER {table}_never_goes BEFORE DELETE ON "{table}" WHEN NOT EXISTS (SELECT 1 FROM purging)
BEGIN SELECT RAISE(ABORT, '{table}: only purge deletes rows'); END;
"""
    for table in FACTS
)


class Collection:
    """The collection in a folder; it is created if it does not exist.

    Use it as a context manager, in one thread at a time.

    root      folder that holds collection.sqlite3 and files/
    database  connection whose rows are sqlite3.Row; outside `writing` each statement is its own transaction
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        path = self.root / FILE
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            self.database = sqlite3.connect(path, timeout=WAIT, isolation_level=None, check_same_thread=False)
            self._prepare()
        except sqlite3.OperationalError as error:
            raise UserError(
                f"{path}: cannot be opened ({error}). Stop other programs that use it or check the disk, and run the "
                f"same command again."
            ) from error
        except sqlite3.DatabaseError as error:
            raise UserError(
                f"{path}: not a collection of fer_lightning, or damaged ({error}). Choose another folder with root=."
            ) from error

    def _prepare(self) -> None:
        self.database.row_factory = sqlite3.Row
        for setting in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            self.database.execute(f"PRAGMA {setting}")
        with self.writing():
            (version,) = self.database.execute("PRAGMA user_version").fetchone()
            if version == 0:
                for statement in _statements(TABLES + GUARDS):
                    self.database.execute(statement)
                self.database.execute(f"PRAGMA user_version = {VERSION}")
            elif version != VERSION:
                raise UserError(
                    f"{self.root / FILE}: its tables have version {version}, but this program needs version {VERSION}. "
                    f"Use the fer_lightning that created it, or choose another folder with root=."
                )

    def __enter__(self) -> "Collection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.database.close()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Run one transaction: on exit all of its changes are on disk; after an exception none of them is."""
        self.database.execute("BEGIN IMMEDIATE")
        try:
            yield self.database
            self.database.execute("COMMIT")
        except BaseException:
            if self.database.in_transaction:
                self.database.execute("ROLLBACK")
            raise

    def add(self, table: str, row: Mapping[str, Any], *, on_conflict: str = "ABORT") -> int | None:
        """Add a row and return its id. The current time is added if the row has no time.

        on_conflict  behaviour if the row violates UNIQUE: ABORT raises sqlite3.IntegrityError, IGNORE returns None
        """
        row = {"time": now(), **row} if table != "finding" else dict(row)
        columns, places = ", ".join(row), ", ".join("?" * len(row))
        done = self.database.execute(
            f'INSERT OR {on_conflict} INTO "{table}" ({columns}) VALUES ({places})', tuple(row.values())
        )
        return done.lastrowid if done.rowcount else None

    def rows(self, query: str, *values: Any) -> list[sqlite3.Row]:
        return self.database.execute(query, values).fetchall()

    def value(self, query: str, *values: Any) -> Any:
        """Return the first column of the first row; None without a row."""
        row = self.database.execute(query, values).fetchone()
        return None if row is None else row[0]

    def file(self, name: str) -> Path:
        """Return the path of a stored image: `name` is the SHA-256 of the file in hex, a dot and its format."""
        return self.root / "files" / name[:2] / name

    def files_below(self) -> Iterator[Path]:
        """Yield every file in the folder of the collection, without those of another collection inside it."""
        for here, folders, names in os.walk(self.root):
            folders[:] = [name for name in folders if not Path(here, name, FILE).exists()]
            yield from (Path(here, name) for name in names)

    def remove_strays(self) -> int:
        """Delete what a killed step leaves: unfinished files, and images that no row names. Return their number.

        Call it only inside `locked("steps")`: a running step has files whose rows are not written yet.
        """
        recorded = {row["file"] for row in self.rows("SELECT file FROM picture")}
        strays = [path for path in self.files_below() if _UNFINISHED.fullmatch(path.name)]
        images = (path for path in (self.root / "files").glob("*/*") if _STORED.fullmatch(path.name))
        strays += [path for path in images if path.name not in recorded]
        for path in strays:
            path.unlink(missing_ok=True)
        return len(strays)

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Hold the lock `name` (`steps` or `review`); raise UserError if another process holds it.

        The operating system releases the lock when the process ends, even if it is killed.
        """
        with open(self.root / f"{name}.lock", "a+") as handle:
            if not take_lock(handle):
                handle.seek(0)
                raise UserError(
                    f"{self.root}: process {handle.read().strip() or 'unknown'} is using this collection "
                    f"({name}). Wait for it, stop it, or choose another folder with root=."
                )
            handle.truncate(0)
            handle.write(str(os.getpid()))
            handle.flush()
            try:
                yield
            finally:
                with suppress(OSError):
                    handle.truncate(0)


def _statements(script: str) -> Iterator[str]:
    """Yield the complete SQL statements of a script, in order."""
    statement = ""
    for line in script.splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def now() -> str:
    """Return the current UTC time to the millisecond, in the database's format."""
    seconds = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03d}Z"
