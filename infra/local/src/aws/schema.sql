-- Queues and their messages. Times are milliseconds since the Unix epoch.
CREATE TABLE IF NOT EXISTS queues (
    name        TEXT PRIMARY KEY,
    attributes  TEXT NOT NULL,              -- JSON object: attribute name -> value, as set
    created_ms  INTEGER NOT NULL,
    modified_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS messages (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    queue         TEXT NOT NULL REFERENCES queues(name) ON DELETE CASCADE,
    message_id    TEXT NOT NULL,
    body          TEXT NOT NULL,
    attributes    TEXT NOT NULL,            -- JSON object: message attributes of the sender
    source_arn    TEXT,                     -- the queue this message was redriven from
    sent_ms       INTEGER NOT NULL,
    visible_ms    INTEGER NOT NULL,         -- not handed out before this moment
    received_ms   INTEGER,                  -- first receive
    receive_count INTEGER NOT NULL DEFAULT 0,
    receipt       TEXT                      -- nonce of the latest receive
) STRICT;
CREATE INDEX IF NOT EXISTS messages_by_visibility ON messages(queue, visible_ms, id);

-- Secrets and their versions; at most one version of a secret has a given stage.
CREATE TABLE IF NOT EXISTS secrets (
    name       TEXT PRIMARY KEY,
    created_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS secret_versions (
    name       TEXT NOT NULL REFERENCES secrets(name) ON DELETE CASCADE,
    version_id TEXT NOT NULL,
    value      TEXT NOT NULL,
    stage      TEXT,                        -- AWSCURRENT, AWSPREVIOUS or NULL
    created_ms INTEGER NOT NULL,
    PRIMARY KEY (name, version_id)
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS secret_stages ON secret_versions(name, stage) WHERE stage IS NOT NULL;

-- Buckets and the versions of their objects.
CREATE TABLE IF NOT EXISTS buckets (
    name         TEXT PRIMARY KEY,
    created_ms   INTEGER NOT NULL,
    versioning   TEXT NOT NULL DEFAULT '',  -- '', 'Enabled' or 'Suspended'
    notification TEXT,                      -- JSON: list of queue rules
    lifecycle    TEXT                       -- JSON: as put
) STRICT;

-- Buckets with Object Lock; a table of its own, so that folders of before stay as they are.
CREATE TABLE IF NOT EXISTS bucket_locks (
    bucket TEXT PRIMARY KEY REFERENCES buckets(name) ON DELETE CASCADE,
    days   INTEGER NOT NULL                 -- default retention (governance) of new versions
) STRICT;

CREATE TABLE IF NOT EXISTS objects (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,   -- order of creation; the event's sequencer
    bucket        TEXT NOT NULL REFERENCES buckets(name),
    key           TEXT NOT NULL,
    version_id    TEXT NOT NULL,            -- 'null' when written while versioning was off
    is_latest     INTEGER NOT NULL,
    delete_marker INTEGER NOT NULL DEFAULT 0,
    size          INTEGER NOT NULL,
    etag          TEXT NOT NULL,
    body          TEXT,                     -- name of the body file; NULL for a delete marker
    modified_ms   INTEGER NOT NULL,
    meta          TEXT NOT NULL,            -- JSON: content headers, user metadata, checksums
    tags          TEXT NOT NULL DEFAULT '{}'
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS objects_version ON objects(bucket, key, version_id);
CREATE UNIQUE INDEX IF NOT EXISTS objects_latest ON objects(bucket, key) WHERE is_latest = 1;

CREATE TABLE IF NOT EXISTS uploads (
    upload_id  TEXT PRIMARY KEY,
    bucket     TEXT NOT NULL REFERENCES buckets(name),
    key        TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    meta       TEXT NOT NULL,
    tags       TEXT NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS parts (
    upload_id   TEXT NOT NULL REFERENCES uploads(upload_id) ON DELETE CASCADE,
    part_number INTEGER NOT NULL,
    size        INTEGER NOT NULL,
    etag        TEXT NOT NULL,
    body        TEXT NOT NULL,
    modified_ms INTEGER NOT NULL,
    PRIMARY KEY (upload_id, part_number)
) STRICT;
