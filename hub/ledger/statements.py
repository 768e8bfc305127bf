"""The ledger's SQL, by name."""

from __future__ import annotations

from typing import Final

_MESSAGE: Final = (
    "number, kind, sender, document_id, digest, doc_type, status, concerns, addressee, priority, size, accepted_at,"
    " basis, leaf, segment, position, length, manifest"
)
_DELIVERY: Final = "message, recipient, state, handling, attempts, refusals, next_attempt, last_error, stopped_by"
_AGENCY: Final = (
    "code, name, kind, state, domain, seal_required, token_hash, endpoint, endpoint_token, valid_from, valid_to"
)

FIND_IDENTITY: Final = "SELECT number, digest, leaf, document_id FROM messages WHERE identity = ?"
FIND_MESSAGE: Final = f"SELECT {_MESSAGE} FROM messages WHERE number = ?"  # noqa: S608 -- a constant
INSERT_MESSAGE: Final = (
    "INSERT INTO messages (number, kind, sender, document_id, identity, digest, doc_type, status, concerns, addressee,"
    " priority, size, accepted_at, basis, leaf, segment, position, length, manifest)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
INSERT_DELIVERY: Final = "INSERT INTO deliveries (message, recipient, priority, handling) VALUES (?, ?, ?, ?)"
FIND_DELIVERY: Final = f"SELECT {_DELIVERY} FROM deliveries WHERE message = ? AND recipient = ?"  # noqa: S608 -- a constant
FIND_DELIVERED: Final = (
    f"SELECT {', '.join(f'd.{column}' for column in _DELIVERY.split(', '))},"  # noqa: S608 -- a constant
    f" {', '.join(f'm.{column}' for column in _MESSAGE.split(', '))}"
    " FROM deliveries d JOIN messages m ON m.number = d.message WHERE d.message = ? AND d.recipient = ?"
)
SETTLE_DELIVERY: Final = (
    "UPDATE deliveries SET state = ?, settled_at = ?, handling = ? WHERE message = ? AND recipient = ? AND state = ?"
)
SET_HANDLING: Final = "UPDATE deliveries SET handling = ? WHERE message = ? AND recipient = ?"
STOP_DELIVERY: Final = "UPDATE deliveries SET stopped_by = ? WHERE message = ? AND recipient = ?"
BEGIN_ATTEMPT: Final = (
    "UPDATE deliveries SET attempts = attempts + 1, next_attempt = ?, last_error = ?"
    " WHERE message = ? AND recipient = ? AND state = 'waiting'"
)
POSTPONE: Final = (
    "UPDATE deliveries SET refusals = refusals + ?, next_attempt = ?, last_error = ?, state = ?"
    " WHERE message = ? AND recipient = ? AND state = 'waiting'"
)
TRY_NOW: Final = "UPDATE deliveries SET next_attempt = 0 WHERE recipient = ? AND state = 'waiting' AND next_attempt > 0"
RELEASE: Final = (
    "UPDATE deliveries SET state = 'waiting', attempts = 0, refusals = 0, next_attempt = 0"
    " WHERE message = ? AND recipient = ? AND state = 'dead'"
)
DEAD: Final = f"SELECT {_DELIVERY} FROM deliveries WHERE state = 'dead' ORDER BY recipient, message LIMIT ?"  # noqa: S608 -- a constant
WAITING: Final = (
    "SELECT m.number, m.kind, m.sender, m.document_id, m.digest, m.priority, m.size, m.accepted_at, m.leaf"
    " FROM deliveries d JOIN messages m ON m.number = d.message"
    " WHERE d.recipient = ? AND d.state = 'waiting' ORDER BY d.priority DESC, d.message LIMIT ?"
)
WAITING_OF_KINDS: Final = (
    "SELECT m.number, m.kind, m.sender, m.document_id, m.digest, m.priority, m.size, m.accepted_at, m.leaf"
    " FROM deliveries d JOIN messages m ON m.number = d.message"
    " WHERE d.recipient = ? AND d.state = 'waiting' AND m.kind IN (SELECT value FROM json_each(?))"
    " ORDER BY d.priority DESC, d.message LIMIT ?"
)
DUE: Final = (
    f"SELECT {_DELIVERY} FROM deliveries"  # noqa: S608 -- a constant
    " WHERE recipient = ? AND state = 'waiting' AND next_attempt <= ? ORDER BY priority DESC, message LIMIT ?"
)
NEXT_DUE: Final = "SELECT min(next_attempt) FROM deliveries WHERE recipient = ? AND state = 'waiting'"
RECIPIENTS: Final = f"SELECT {_DELIVERY} FROM deliveries WHERE message = ?"  # noqa: S608 -- a constant
REPORTS_ON: Final = (
    f"SELECT {_MESSAGE} FROM messages WHERE concerns = ?1 AND number > ?3 AND EXISTS"  # noqa: S608 -- a constant
    " (SELECT 1 FROM deliveries WHERE message = number AND recipient = ?2) ORDER BY number LIMIT ?4"
)
REPORTS_TO: Final = (
    f"SELECT {', '.join(f'm.{column}' for column in _MESSAGE.split(', '))}"  # noqa: S608 -- a constant
    " FROM deliveries d JOIN messages m ON m.number = d.message"
    " WHERE d.recipient = ? AND d.handling = '' AND d.message > ? ORDER BY d.message LIMIT ?"
)
INSERT_LATER: Final = "INSERT INTO later_documents (sender, name, number) VALUES (?, ?, ?)"
FIND_LATER: Final = "SELECT number FROM later_documents WHERE sender = ? AND name = ? ORDER BY number DESC LIMIT ?"
LAST_NUMBER: Final = "SELECT coalesce(max(number), 0) FROM messages"
QUEUES: Final = (
    "SELECT d.recipient, count(*), min(m.accepted_at) FROM deliveries d JOIN messages m ON m.number = d.message"
    " WHERE d.state = 'waiting' GROUP BY d.recipient"
)

FIND_PAYLOAD: Final = "SELECT segment, position, length FROM payloads WHERE sha256 = ?"
INSERT_PAYLOAD: Final = "INSERT OR IGNORE INTO payloads (sha256, segment, position, length) VALUES (?, ?, ?, ?)"
LARGE_PAYLOADS: Final = "SELECT sha256 FROM payloads WHERE segment = 0"
LARGE_SIZES: Final = "SELECT sha256, length FROM payloads WHERE segment = 0"
SEGMENTS: Final = "SELECT segment, length FROM segments ORDER BY segment"
SET_SEGMENT: Final = "INSERT INTO segments VALUES (?, ?) ON CONFLICT (segment) DO UPDATE SET length = excluded.length"

INSERT_EVENT: Final = "INSERT INTO events (leaf, type, at, message, agency, data) VALUES (?, ?, ?, ?, ?, ?)"
FIND_EVENT: Final = "SELECT data FROM events WHERE leaf = ?"
LAST_EVENT: Final = "SELECT leaf, at FROM events ORDER BY leaf DESC LIMIT 1"
INSERT_NODE: Final = "INSERT INTO nodes (level, position, hash) VALUES (?, ?, ?)"
FIND_NODE: Final = "SELECT hash FROM nodes WHERE level = ? AND position = ?"
INSERT_CHECKPOINT: Final = "INSERT INTO checkpoints (size, note) VALUES (?, ?)"
CHECKPOINT_OF: Final = "SELECT size, note FROM checkpoints WHERE size > ? ORDER BY size LIMIT 1"
LAST_CHECKPOINT: Final = "SELECT size, note FROM checkpoints ORDER BY size DESC LIMIT 1"

AGENCIES: Final = f"SELECT {_AGENCY} FROM agencies ORDER BY code"  # noqa: S608 -- a constant
ALIASES: Final = "SELECT alias, code FROM aliases"
CERTIFICATES: Final = "SELECT fingerprint, agency FROM certificates"
PUT_AGENCY: Final = (
    f"INSERT INTO agencies ({_AGENCY}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 -- a constant
    " ON CONFLICT (code) DO UPDATE SET name = excluded.name, kind = excluded.kind, state = excluded.state,"
    " domain = excluded.domain, seal_required = excluded.seal_required, token_hash = excluded.token_hash,"
    " endpoint = excluded.endpoint, endpoint_token = excluded.endpoint_token, valid_to = excluded.valid_to"
)
FIND_AGENCY: Final = f"SELECT {_AGENCY} FROM agencies WHERE code = ?"  # noqa: S608 -- a constant
ALIASES_OF: Final = "SELECT alias FROM aliases WHERE code = ?"
OWNER_OF: Final = "SELECT code FROM agencies WHERE code = ?1 UNION SELECT code FROM aliases WHERE alias = ?1"
HAS_CERTIFICATE: Final = "SELECT EXISTS (SELECT 1 FROM certificates WHERE agency = ?)"
PUT_ALIAS: Final = "INSERT INTO aliases VALUES (?, ?) ON CONFLICT (alias) DO UPDATE SET code = excluded.code"
PUT_CERTIFICATE: Final = "INSERT INTO certificates VALUES (?, ?, ?, ?, ?)"
PUT_INVITATION: Final = "INSERT INTO invitations VALUES (?, ?, ?, NULL)"
FIND_INVITATION: Final = "SELECT agency, expires_at, used_at FROM invitations WHERE code_hash = ?"
USE_INVITATION: Final = "UPDATE invitations SET used_at = ? WHERE code_hash = ? AND used_at IS NULL"
