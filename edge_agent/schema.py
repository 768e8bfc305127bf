"""The schema of the edge's database: states with their arrows, invariants as constraints, an append-only event trail.

Nothing else decides which state follows which: the table `arrows` is the transition table of outbox, inbox and
hand-over, and triggers hold every writer to it.

    outbox    CHO_GUI ──hub's receipt held──► DA_GUI
              CHO_GUI ──refused for good────► GUI_LOI          (sent again: a new row; the old one stays as evidence)
    inbox     DA_NHAN ──hub knows──► DA_XAC_NHAN
    handover  CHO ──taken──► XONG
              CHO ──folder complete on disk──► SAN_SANG ──renamed into incoming/──► XONG
              CHO ──refused for good──► TU_CHOI ──released by a person──► CHO
"""

from __future__ import annotations

from typing import Final

from runtime.database import Migration

INITIAL: Final = """
CREATE TABLE arrows (
    machine TEXT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL, PRIMARY KEY (machine, before, after)
) STRICT, WITHOUT ROWID;
INSERT INTO arrows VALUES
    ('outbox', 'CHO_GUI', 'DA_GUI'), ('outbox', 'CHO_GUI', 'GUI_LOI'),
    ('inbox', 'DA_NHAN', 'DA_XAC_NHAN'),
    ('handover', 'CHO', 'XONG'), ('handover', 'CHO', 'SAN_SANG'), ('handover', 'SAN_SANG', 'XONG'),
    ('handover', 'CHO', 'TU_CHOI'), ('handover', 'TU_CHOI', 'CHO');

-- what this agency sends; times are RFC 3339 UTC, sizes octets, digests lower-case hex SHA-256
CREATE TABLE outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT,            -- the number that the local system is told
    kind TEXT NOT NULL CHECK (kind IN ('document', 'status')),
    identity TEXT NOT NULL,                              -- NFC DocumentId; with the fingerprint where an id may recur
    fingerprint TEXT NOT NULL CHECK (length(fingerprint) = 64),
    document_id TEXT NOT NULL CHECK (document_id <> ''),
    document_key TEXT NOT NULL,                          -- DocumentId as it is compared
    digest TEXT NOT NULL CHECK (length(digest) = 64),    -- message digest: what was signed
    envelope BLOB NOT NULL,                              -- sealed; sent as it stands
    original BLOB NOT NULL,                              -- what the local system gave (AC-3.2-4)
    package TEXT NOT NULL,
    priority INTEGER NOT NULL,
    size INTEGER NOT NULL CHECK (size >= 0),
    state TEXT NOT NULL DEFAULT 'CHO_GUI' CHECK (state IN ('CHO_GUI', 'DA_GUI', 'GUI_LOI')),
    attempts INTEGER NOT NULL DEFAULT 0,
    next_attempt_at TEXT NOT NULL,
    planned_at TEXT NOT NULL,                            -- of next_attempt_at; later than now: by a wrong clock
    error_code TEXT NOT NULL DEFAULT '',
    error_element TEXT NOT NULL DEFAULT '',
    created_at TEXT NOT NULL,
    ended_at TEXT,
    hub_number INTEGER,
    receipt TEXT,
    CHECK ((state = 'DA_GUI') = (receipt IS NOT NULL AND hub_number IS NOT NULL)),
    CHECK ((state = 'CHO_GUI') = (ended_at IS NULL)),
    CHECK (state <> 'GUI_LOI' OR error_code <> '')
) STRICT;
CREATE UNIQUE INDEX outbox_identity ON outbox (identity) WHERE state <> 'GUI_LOI';
CREATE INDEX outbox_waiting ON outbox (priority DESC, number) WHERE state = 'CHO_GUI';
CREATE INDEX outbox_document ON outbox (document_key);

CREATE TABLE outbox_attachments (
    outbox INTEGER NOT NULL REFERENCES outbox (number), position INTEGER NOT NULL,
    content_id TEXT NOT NULL, name TEXT NOT NULL, content_type TEXT NOT NULL, description TEXT NOT NULL,
    sha256 TEXT NOT NULL CHECK (length(sha256) = 64), size INTEGER NOT NULL CHECK (size >= 0),
    PRIMARY KEY (outbox, position)
) STRICT, WITHOUT ROWID;

-- where a sent document stands at each of its recipients (protocol.lifecycle moves `state`)
CREATE TABLE recipients (
    outbox INTEGER NOT NULL REFERENCES outbox (number), agency TEXT NOT NULL,
    state TEXT NOT NULL, changed_at TEXT NOT NULL,
    PRIMARY KEY (outbox, agency)
) STRICT, WITHOUT ROWID;

-- what this agency received and verified; nothing stands here whose seal or receipt failed
CREATE TABLE inbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    hub_number INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('document', 'status', 'notice')),
    sender TEXT NOT NULL,
    document_id TEXT NOT NULL,
    document_key TEXT NOT NULL,
    digest TEXT NOT NULL,
    envelope BLOB,                                       -- sealed, as delivered; a notice has none
    receipt TEXT NOT NULL CHECK (receipt <> ''),
    priority INTEGER NOT NULL,
    size INTEGER NOT NULL CHECK (size >= 0),
    accepted_at TEXT NOT NULL,
    received_at TEXT NOT NULL,
    confirmed_at TEXT,
    outbox INTEGER REFERENCES outbox (number),           -- the sent document that a status or notice is about
    state TEXT NOT NULL DEFAULT 'DA_NHAN' CHECK (state IN ('DA_NHAN', 'DA_XAC_NHAN')),
    UNIQUE (hub_number, digest),                         -- a second fetch of one message changes nothing
    CHECK ((state = 'DA_XAC_NHAN') = (confirmed_at IS NOT NULL)),
    CHECK ((kind = 'notice') = (envelope IS NULL))
) STRICT;
CREATE INDEX inbox_unconfirmed ON inbox (number) WHERE state = 'DA_NHAN';
CREATE INDEX inbox_document ON inbox (document_key);

CREATE TABLE inbox_attachments (
    inbox INTEGER NOT NULL REFERENCES inbox (number), position INTEGER NOT NULL,
    content_id TEXT NOT NULL, name TEXT NOT NULL, content_type TEXT NOT NULL, description TEXT NOT NULL,
    sha256 TEXT NOT NULL CHECK (length(sha256) = 64), size INTEGER NOT NULL CHECK (size >= 0),
    PRIMARY KEY (inbox, position)
) STRICT, WITHOUT ROWID;

-- outcome per way into the local system: watched folder, its own SOAP service, its own polling
CREATE TABLE handover (
    inbox INTEGER NOT NULL REFERENCES inbox (number),
    route TEXT NOT NULL CHECK (route IN ('folder', 'soap', 'pull')),
    state TEXT NOT NULL DEFAULT 'CHO' CHECK (state IN ('CHO', 'SAN_SANG', 'XONG', 'TU_CHOI')),
    begun INTEGER NOT NULL DEFAULT 0,                    -- calls of the local system, counted before each is made
    attempts INTEGER NOT NULL DEFAULT 0,
    next_attempt_at TEXT NOT NULL,
    planned_at TEXT NOT NULL,                            -- of next_attempt_at; later than now: by a wrong clock
    error_code TEXT NOT NULL DEFAULT '',
    error_text TEXT NOT NULL DEFAULT '',
    ended_at TEXT,
    PRIMARY KEY (inbox, route),
    CHECK ((state IN ('CHO', 'SAN_SANG')) = (ended_at IS NULL)),
    CHECK (state <> 'TU_CHOI' OR error_code <> '')
) STRICT, WITHOUT ROWID;
CREATE INDEX handover_waiting ON handover (route, inbox) WHERE state IN ('CHO', 'SAN_SANG');

-- waiting at the hub, and found wrong or not to be had: kept in the hub's mailbox, tried again later, shown to a person
CREATE TABLE held (
    hub_number INTEGER PRIMARY KEY, kind TEXT NOT NULL, sender TEXT NOT NULL,
    error_code TEXT NOT NULL, error_element TEXT NOT NULL,
    attempts INTEGER NOT NULL, first_at TEXT NOT NULL, next_attempt_at TEXT NOT NULL, planned_at TEXT NOT NULL
) STRICT;

-- every checkpoint of the hub's log that passed by; two roots for one size would prove a split view
CREATE TABLE checkpoints (
    size INTEGER PRIMARY KEY, root TEXT NOT NULL CHECK (length(root) = 64), text TEXT NOT NULL, seen_at TEXT NOT NULL,
    consistent INTEGER NOT NULL CHECK (consistent IN (0, 1)) -- 1: an unbroken line of proofs leads from the first here
) STRICT;

CREATE TABLE alarms (
    number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, text TEXT NOT NULL,
    raised_at TEXT NOT NULL, cleared_at TEXT
) STRICT;
CREATE UNIQUE INDEX alarms_open ON alarms (kind) WHERE cleared_at IS NULL;

-- last contact with the hub and the like: one row per name
CREATE TABLE contacts (name TEXT PRIMARY KEY, at TEXT NOT NULL, detail TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- one row per business decision, in the transaction that takes it; never a word of a document
CREATE TABLE events (
    number INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, subject TEXT NOT NULL, item INTEGER NOT NULL,
    event TEXT NOT NULL, detail TEXT NOT NULL
) STRICT;

CREATE TRIGGER outbox_arrows BEFORE UPDATE OF state ON outbox
WHEN NOT EXISTS (SELECT 1 FROM arrows WHERE machine = 'outbox' AND before = OLD.state AND after = NEW.state)
BEGIN SELECT RAISE(ABORT, 'outbox: no such arrow'); END;
CREATE TRIGGER inbox_arrows BEFORE UPDATE OF state ON inbox
WHEN NOT EXISTS (SELECT 1 FROM arrows WHERE machine = 'inbox' AND before = OLD.state AND after = NEW.state)
BEGIN SELECT RAISE(ABORT, 'inbox: no such arrow'); END;
CREATE TRIGGER handover_arrows BEFORE UPDATE OF state ON handover
WHEN NOT EXISTS (SELECT 1 FROM arrows WHERE machine = 'handover' AND before = OLD.state AND after = NEW.state)
BEGIN SELECT RAISE(ABORT, 'handover: no such arrow'); END;
CREATE TRIGGER outbox_sealed BEFORE UPDATE OF identity, fingerprint, document_id, digest, original ON outbox
BEGIN SELECT RAISE(ABORT, 'outbox: a sealed message never changes'); END;
-- a renewed certificate may seal again what the hub has not taken yet; the digest, what is signed, stays
CREATE TRIGGER outbox_resealed BEFORE UPDATE OF envelope ON outbox WHEN OLD.state <> 'CHO_GUI'
BEGIN SELECT RAISE(ABORT, 'outbox: what was sent never changes'); END;
CREATE TRIGGER outbox_kept BEFORE DELETE ON outbox
BEGIN SELECT RAISE(ABORT, 'outbox: nothing is deleted'); END;
CREATE TRIGGER inbox_sealed BEFORE UPDATE OF hub_number, sender, document_id, digest, envelope, receipt ON inbox
BEGIN SELECT RAISE(ABORT, 'inbox: a received message never changes'); END;
CREATE TRIGGER inbox_kept BEFORE DELETE ON inbox
BEGIN SELECT RAISE(ABORT, 'inbox: nothing is deleted'); END;
CREATE TRIGGER events_kept BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events: append only'); END;
CREATE TRIGGER events_fixed BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events: append only'); END;
"""

MIGRATIONS: Final = (Migration("0001-initial", INITIAL),)
