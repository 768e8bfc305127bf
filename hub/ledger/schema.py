"""The ledger's schema, in ordered migrations; the arrows between states stand beside them.

Times are integers: milliseconds since 1970-01-01 UTC. Codes of agencies are canonical (QĐ 20/2020 form). There are
two random keys per document (identity, attachment) and no more: each costs a page of its own in a large ledger.
"""

from __future__ import annotations

from typing import Final

from runtime.database import Migration

FIRST: Final = """
-- invited --enrol--> active --suspend--> suspended --resume--> active ; closed agencies get valid_to
CREATE TABLE agencies (
    code          TEXT PRIMARY KEY,
    name          TEXT NOT NULL,
    kind          TEXT NOT NULL DEFAULT 'state' CHECK (kind IN ('state', 'member')),
    state         TEXT NOT NULL DEFAULT 'invited' CHECK (state IN ('invited', 'active', 'suspended')),
    domain        TEXT NOT NULL DEFAULT '',
    seal_required INTEGER NOT NULL DEFAULT 0 CHECK (seal_required IN (0, 1)),
    token_hash    BLOB,
    endpoint      TEXT NOT NULL DEFAULT '',   -- '' : the agency polls; else the hub calls its package B service here
    endpoint_token TEXT NOT NULL DEFAULT '',  -- path of the file with the token for that service
    valid_from    INTEGER NOT NULL,
    valid_to      INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE aliases (
    alias TEXT PRIMARY KEY,
    code  TEXT NOT NULL REFERENCES agencies(code)
) STRICT, WITHOUT ROWID;

CREATE TABLE certificates (
    fingerprint BLOB PRIMARY KEY,             -- SHA-256 of the DER
    agency      TEXT NOT NULL REFERENCES agencies(code),
    serial      TEXT NOT NULL,
    not_after   INTEGER NOT NULL,
    issued_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- open --enrol--> used ; open --time--> expired (by expires_at)
CREATE TABLE invitations (
    code_hash  BLOB PRIMARY KEY,
    agency     TEXT NOT NULL REFERENCES agencies(code),
    expires_at INTEGER NOT NULL,
    used_at    INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE messages (
    number      INTEGER PRIMARY KEY,          -- the hub's number; also the order of arrival
    kind        TEXT NOT NULL CHECK (kind IN ('document', 'status', 'notice')),
    sender      TEXT NOT NULL,
    document_id TEXT NOT NULL,                -- as written by the sender; for a status or notice, of the document meant
    identity    BLOB UNIQUE,                  -- 16 octets; NULL for notices
    digest      BLOB NOT NULL,                -- 32 octets, what was signed; for a notice, of its document
    doc_type    INTEGER NOT NULL DEFAULT 0,
    status      INTEGER,                      -- status code of a status or notice
    concerns    INTEGER REFERENCES messages(number),  -- the document that a status or notice is about
    addressee   TEXT,                         -- of a status or notice: the agency whose document it is about
    priority    INTEGER NOT NULL,
    size        INTEGER NOT NULL,             -- octets of all attachments
    accepted_at INTEGER NOT NULL,
    basis       TEXT NOT NULL DEFAULT '',     -- legal basis: KYSO_CQ, XACTHUC_NGUON_GOC
    leaf        INTEGER NOT NULL,             -- its event in the evidence log
    segment     INTEGER, position INTEGER, length INTEGER,  -- where the sealed envelope lies; NULL for notices
    manifest    BLOB,                         -- msgpack: the attachments
    CHECK ((kind = 'document') = (concerns IS NULL)),
    CHECK ((kind = 'notice') = (segment IS NULL)),
    CHECK ((kind = 'notice') = (identity IS NULL))
) STRICT;
CREATE INDEX messages_concerns ON messages (concerns) WHERE concerns IS NOT NULL;

-- Recalls, updates and replacements by name: they may share a name, so their identity cannot be worked out from it.
CREATE TABLE later_documents (
    sender TEXT NOT NULL,
    name   TEXT NOT NULL,                     -- the DocumentId as it is compared (protocol.document_ids.key)
    number INTEGER NOT NULL REFERENCES messages(number),
    PRIMARY KEY (sender, name, number)
) STRICT, WITHOUT ROWID;

-- waiting --confirm--> delivered
-- waiting, dead --recall--> withdrawn --confirm by a recipient that had fetched it before--> delivered
-- waiting --too many refusals by the endpoint--> dead --release by a person--> waiting
CREATE TABLE deliveries (
    message      INTEGER NOT NULL REFERENCES messages(number),
    recipient    TEXT NOT NULL REFERENCES agencies(code),
    state        TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'withdrawn', 'dead')),
    priority     INTEGER NOT NULL,
    handling     TEXT NOT NULL DEFAULT '',    -- lifecycle state of a document at this recipient (protocol.lifecycle)
    settled_at   INTEGER,
    attempts     INTEGER NOT NULL DEFAULT 0,  -- calls of the endpoint that were begun
    refusals     INTEGER NOT NULL DEFAULT 0,  -- of these, answered with a permanent refusal
    next_attempt INTEGER NOT NULL DEFAULT 0,
    last_error   TEXT NOT NULL DEFAULT '',
    stopped_by   INTEGER REFERENCES messages(number) DEFERRABLE INITIALLY DEFERRED,  -- the recall that withdrew it
    PRIMARY KEY (message, recipient),
    CHECK ((state IN ('delivered', 'withdrawn')) = (settled_at IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_waiting ON deliveries (recipient, priority DESC, message) WHERE state = 'waiting';
-- statuses and notices have no handling of their own
CREATE INDEX deliveries_reports ON deliveries (recipient, message) WHERE handling = '';
CREATE INDEX deliveries_dead ON deliveries (recipient, message) WHERE state = 'dead';

CREATE TABLE payloads (
    sha256   BLOB PRIMARY KEY,
    segment  INTEGER NOT NULL,                -- 0: a file of its own
    position INTEGER NOT NULL,
    length   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- How much of each segment file is committed; octets after it are cut off at start.
CREATE TABLE segments (segment INTEGER PRIMARY KEY, length INTEGER NOT NULL) STRICT;

-- The evidence log (RFC 6962): append-only, also against our own mistakes.
CREATE TABLE events (
    leaf    INTEGER PRIMARY KEY,
    type    TEXT NOT NULL,
    at      INTEGER NOT NULL,
    message INTEGER,
    agency  TEXT NOT NULL,
    data    BLOB NOT NULL
) STRICT;
CREATE TRIGGER events_no_update BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER events_no_delete BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;

CREATE TABLE nodes (
    level INTEGER NOT NULL, position INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (level, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE checkpoints (size INTEGER PRIMARY KEY, note TEXT NOT NULL) STRICT;
"""

MIGRATIONS: Final = (Migration("0001-first", FIRST),)
