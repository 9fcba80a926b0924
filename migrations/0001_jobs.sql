-- The queue: jobs, what they ask, what was answered.
--
-- `jobs` is hot and narrow: a change of state rewrites one small row. Bodies live apart, so that
-- they are written once and can be forgotten while their job is remembered.
--
-- Each table and each index that a job has an entry in is a page to be written, at its acceptance
-- or at its end. So there is none that a job could do without.
--
-- All times are milliseconds since 1970, UTC. Order is `seq`, never a time.

-- "fore": tells a wrong file apart.
PRAGMA application_id = 1718579813;

-- Conditions do not say IN with three values or more: SQLite would make an index of them for each
-- row that is written.
CREATE TABLE jobs (
  -- Given by foreman, one after the other; see last_gone.
  seq                 INTEGER PRIMARY KEY,
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
  -- Whether the bodies of an ended job are forgotten.
  emptied             INTEGER NOT NULL DEFAULT 0 CHECK (emptied BETWEEN 0 AND 1),
  CHECK ((state IN ('loading', 'working')) = (slot IS NOT NULL)),
  CHECK ((state = 'done' OR state = 'failed' OR state = 'cancelled') = (finished_at IS NOT NULL)),
  CHECK (retry_at IS NULL OR state = 'queued'),
  CHECK (emptied = 0 OR finished_at IS NOT NULL),
  CHECK ((error_code IS NULL) = (error_message IS NULL)),
  CHECK ((idem_key IS NULL) = (idem_scope IS NULL) AND (idem_key IS NULL) = (request_hash IS NULL)),
  CHECK (request_hash IS NULL OR length(request_hash) = 32)
) STRICT;

-- The last place of a job that is forgotten, if none that is there has a later one. No place is
-- given twice.
CREATE TABLE last_gone (
  seq INTEGER NOT NULL
) STRICT;
INSERT INTO last_gone (seq) VALUES (0);

-- One job per idempotency key.
CREATE UNIQUE INDEX jobs_idempotency ON jobs (idem_scope, idem_key) WHERE idem_key IS NOT NULL;

-- The lines of the queue, each in its order. Who is first in each is kept in memory, and looked up
-- here when the first one leaves. Jobs in back-off are not in it. The last column is always the
-- same; with it jobs are counted without being read.
CREATE INDEX jobs_line ON jobs (runner, priority, caller, model, seq, retry_at) WHERE state = 'queued' AND retry_at IS NULL;

-- What time does to the queue.
CREATE INDEX jobs_due ON jobs (retry_at) WHERE state = 'queued' AND retry_at IS NOT NULL;
CREATE INDEX jobs_expiring ON jobs (expires_at) WHERE state = 'queued' AND expires_at IS NOT NULL;
CREATE INDEX jobs_resting ON jobs (seq) WHERE state = 'queued' AND retry_at IS NOT NULL;

-- Jobs that wait no more: those that run by their slot, those that have ended by when they did, and
-- those whose bodies are still here apart, so that a purge reads none that it emptied. With the
-- state jobs are counted by it without being read. Running jobs are next to the latest ones: the
-- end of a job changes one page.
CREATE INDEX jobs_taken ON jobs (slot, emptied DESC, finished_at, seq, state) WHERE state <> 'queued';

CREATE TABLE job_requests (
  seq     INTEGER PRIMARY KEY REFERENCES jobs ON DELETE CASCADE,
  -- [["name","value"],...]
  headers TEXT    NOT NULL,
  body    BLOB    NOT NULL
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
  PRIMARY KEY (seq, n)
) STRICT, WITHOUT ROWID;

-- What is written when a job ends: the last row of its log, and the head of its answer if it has
-- one. Of most jobs that is all, and a table with one row for each job grows at its end only.
CREATE TABLE job_ends (
  seq     INTEGER PRIMARY KEY REFERENCES jobs ON DELETE CASCADE,
  status  INTEGER,
  headers TEXT,
  n       INTEGER NOT NULL CHECK (n >= 2),
  -- None where nothing is kept of an answer but its head.
  events  INTEGER NOT NULL CHECK (events >= 0),
  epoch   INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  kinds   TEXT    NOT NULL,
  data    BLOB    NOT NULL,
  CHECK ((status IS NULL) = (headers IS NULL))
) STRICT;

CREATE VIEW job_log AS
SELECT seq, n, events, epoch, attempt, kinds, data FROM job_events
UNION ALL
SELECT seq, n, events, epoch, attempt, kinds, data FROM job_ends;

CREATE TABLE notes (
  name  TEXT PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER jobs_enter BEFORE INSERT ON jobs
WHEN NEW.state <> 'queued' OR NEW.epoch <> 0 OR NEW.attempt <> 0 OR NEW.crashes <> 0
BEGIN
  SELECT RAISE(FAIL, 'a new job is queued');
END;

-- Of all columns but the one that an ended job may change.
CREATE TRIGGER jobs_change BEFORE UPDATE OF
  seq, id, endpoint, model, runner, state, priority, slot, attempt, epoch, crashes, retry_at,
  not_before, expires_at, created_at, claimed_at, started_at, finished_at, cancel_requested_at,
  caller, idem_scope, idem_key, request_hash, pick_reason, error_code, error_message, target_status,
  prompt_tokens, completion_tokens, load_ns, total_ns, retry_of, metadata
ON jobs
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
    WHEN OLD.slot IS NULL AND NEW.slot IS NOT NULL
      AND EXISTS (SELECT 1 FROM jobs WHERE state <> 'queued' AND slot = NEW.slot)
      THEN RAISE(ABORT, 'at most one job runs in a slot')
  END;
END;

CREATE TRIGGER jobs_empty BEFORE UPDATE OF emptied ON jobs
WHEN OLD.finished_at IS NULL OR NEW.emptied < OLD.emptied
BEGIN
  SELECT RAISE(ABORT, 'bodies are forgotten once, after the end');
END;

CREATE TRIGGER jobs_leave BEFORE DELETE ON jobs
WHEN OLD.finished_at IS NULL
BEGIN
  SELECT RAISE(ABORT, 'a job that has not ended is not forgotten');
END;

CREATE TRIGGER jobs_left AFTER DELETE ON jobs
WHEN NOT EXISTS (SELECT 1 FROM jobs WHERE seq > OLD.seq)
BEGIN
  UPDATE last_gone SET seq = max(seq, OLD.seq);
END;
