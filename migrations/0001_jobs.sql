-- The queue: jobs, what they ask, what was answered.
--
-- `jobs` is hot and narrow: a change of state rewrites one small row. Bodies live apart, so that
-- they are written once and can be forgotten while their job is remembered.
--
-- All times are milliseconds since 1970, UTC. Order is `seq`, never a time.

-- "fore": tells a wrong file apart.
PRAGMA application_id = 1718579813;

-- Conditions do not say IN with three values or more: SQLite would make an index of them for each
-- row that is written.
CREATE TABLE jobs (
  seq                 INTEGER PRIMARY KEY AUTOINCREMENT,
  id                  TEXT    NOT NULL UNIQUE,
  endpoint            TEXT    NOT NULL,
  model               TEXT    NOT NULL,
  runner              TEXT    NOT NULL,
  state               TEXT    NOT NULL CHECK (state = 'queued' OR state = 'loading' OR state = 'working' OR state = 'done' OR state = 'failed' OR state = 'cancelled'),
  priority            INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 2),
  slot                INTEGER CHECK (slot >= 0),
  attempt             INTEGER NOT NULL DEFAULT 0 CHECK (attempt >= 0),
  epoch               INTEGER NOT NULL DEFAULT 0 CHECK (epoch >= 0),
  crashes             INTEGER NOT NULL DEFAULT 0 CHECK (crashes >= 0),
  retry_at            INTEGER,
  not_before          INTEGER,
  expires_at          INTEGER,
  created_at          INTEGER NOT NULL,
  claimed_at          INTEGER,
  started_at          INTEGER,
  finished_at         INTEGER,
  cancel_requested_at INTEGER,
  caller              TEXT,
  idem_scope          TEXT,
  idem_key            TEXT,
  request_hash        BLOB,
  pick_reason         TEXT,
  error_code          TEXT,
  error_message       TEXT,
  target_status       INTEGER CHECK (target_status BETWEEN 100 AND 999),
  prompt_tokens       INTEGER,
  completion_tokens   INTEGER,
  load_ns             INTEGER,
  total_ns            INTEGER,
  retry_of            TEXT,
  -- The text of a JSON object.
  metadata            TEXT,
  CHECK ((state IN ('loading', 'working')) = (slot IS NOT NULL)),
  CHECK ((state = 'done' OR state = 'failed' OR state = 'cancelled') = (finished_at IS NOT NULL)),
  CHECK (retry_at IS NULL OR state = 'queued'),
  CHECK ((error_code IS NULL) = (error_message IS NULL)),
  CHECK ((idem_key IS NULL) = (idem_scope IS NULL) AND (idem_key IS NULL) = (request_hash IS NULL)),
  CHECK (request_hash IS NULL OR length(request_hash) = 32)
) STRICT;

-- At most one job runs in a slot.
CREATE UNIQUE INDEX jobs_one_per_slot ON jobs (slot) WHERE slot IS NOT NULL;

-- One job per idempotency key.
CREATE UNIQUE INDEX jobs_idempotency ON jobs (idem_scope, idem_key) WHERE idem_key IS NOT NULL;

-- The lines of the queue, each in its order. Who is first in each is kept in memory, and looked up
-- here when the first one leaves. Jobs in back-off are not in it. The last column is always the
-- same; with it jobs are counted without being read.
CREATE INDEX jobs_line ON jobs (runner, priority, caller, model, seq, retry_at) WHERE state = 'queued' AND retry_at IS NULL;

-- What time does to the queue.
CREATE INDEX jobs_due ON jobs (retry_at) WHERE state = 'queued' AND retry_at IS NOT NULL;
CREATE INDEX jobs_expiring ON jobs (expires_at) WHERE state = 'queued' AND expires_at IS NOT NULL;
CREATE INDEX jobs_waiting ON jobs (created_at) WHERE state = 'queued';
-- With the state jobs are counted by it without being read.
CREATE INDEX jobs_finished ON jobs (finished_at, seq, state) WHERE finished_at IS NOT NULL;

CREATE TABLE job_requests (
  seq     INTEGER PRIMARY KEY REFERENCES jobs ON DELETE CASCADE,
  -- [["name","value"],...]
  headers TEXT    NOT NULL,
  body    BLOB    NOT NULL
) STRICT;

CREATE TABLE job_answers (
  seq     INTEGER PRIMARY KEY REFERENCES jobs ON DELETE CASCADE,
  status  INTEGER NOT NULL,
  headers TEXT    NOT NULL
) STRICT;

-- What the runs of a job did, numbered over its whole life from 2 on: 1 is its acceptance, and its
-- end has the number after the last one here. Several events share a row: `n` is the number of the
-- first, and `kinds` (["loading","working",12,7,...]) names each one; a number is the length of a
-- chunk of the answer, whose bytes are in `data` one after the other.
CREATE TABLE job_events (
  seq     INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
  n       INTEGER NOT NULL CHECK (n >= 2),
  events  INTEGER NOT NULL CHECK (events > 0),
  epoch   INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  kinds   TEXT    NOT NULL,
  data    BLOB    NOT NULL,
  UNIQUE (seq, n)
) STRICT;

-- Ended jobs whose bodies are still here: a purge finds them without reading those it emptied.
CREATE TABLE job_bodies (
  finished_at INTEGER NOT NULL,
  seq         INTEGER NOT NULL,
  PRIMARY KEY (finished_at, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE notes (
  name  TEXT PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER jobs_enter BEFORE INSERT ON jobs
WHEN NEW.state <> 'queued' OR NEW.epoch <> 0 OR NEW.attempt <> 0 OR NEW.crashes <> 0
BEGIN
  SELECT RAISE(FAIL, 'a new job is queued');
END;

CREATE TRIGGER jobs_change BEFORE UPDATE ON jobs
BEGIN
  SELECT CASE
    WHEN OLD.finished_at IS NOT NULL
      THEN RAISE(ABORT, 'an ended job never changes')
    WHEN NEW.seq <> OLD.seq OR NEW.id <> OLD.id OR NEW.created_at <> OLD.created_at
      THEN RAISE(ABORT, 'a job keeps its name and place')
    WHEN NEW.epoch < OLD.epoch OR NEW.attempt < OLD.attempt OR NEW.crashes < OLD.crashes
      THEN RAISE(ABORT, 'counters of a job only grow')
    WHEN OLD.state = 'queued' AND NEW.state IN ('working', 'done')
      THEN RAISE(ABORT, 'a queued job must be claimed first')
    WHEN OLD.state = 'working' AND NEW.state = 'loading'
      THEN RAISE(ABORT, 'a working job does not load')
    WHEN OLD.state = 'queued' AND NEW.state = 'loading'
      AND (NEW.epoch <> OLD.epoch + 1 OR OLD.retry_at IS NOT NULL)
      THEN RAISE(ABORT, 'a claim takes a ready job and one epoch')
    WHEN NEW.epoch <> OLD.epoch AND NOT (OLD.state = 'queued' AND NEW.state = 'loading')
      THEN RAISE(ABORT, 'only a claim changes the epoch')
    WHEN OLD.slot IS NOT NULL AND NEW.slot <> OLD.slot
      THEN RAISE(ABORT, 'a running job keeps its slot')
  END;
END;

CREATE TRIGGER jobs_end AFTER UPDATE ON jobs
WHEN NEW.finished_at IS NOT NULL
BEGIN
  INSERT INTO job_bodies (finished_at, seq) VALUES (NEW.finished_at, NEW.seq);
END;

CREATE TRIGGER jobs_leave BEFORE DELETE ON jobs
WHEN OLD.finished_at IS NULL
BEGIN
  SELECT RAISE(ABORT, 'a job that has not ended is not forgotten');
END;

CREATE TRIGGER jobs_left AFTER DELETE ON jobs
BEGIN
  DELETE FROM job_bodies WHERE finished_at = OLD.finished_at AND seq = OLD.seq;
END;
