-- A claim and the end of its run may be one change of a row, which has the counters and the times of
-- both; of a job that ran before, only the epoch shows the claim. And a new job is written without copies of what is there: SQLite keeps them where a check
-- calls a function, since that may fail half-way. What `length(request_hash)` said is said by the
-- type that the column is read and written as. A check is removed from a table as SQLite's
-- documentation of ALTER TABLE describes it.

PRAGMA writable_schema = ON;

UPDATE sqlite_schema
SET sql = replace(sql, ',
  CHECK (request_hash IS NULL OR length(request_hash) = 32)', '')
WHERE name = 'jobs' AND type = 'table';

PRAGMA writable_schema = RESET;

DROP TRIGGER jobs_change;

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
      THEN RAISE(FAIL, 'an ended job never changes')
    WHEN NEW.seq <> OLD.seq OR NEW.id <> OLD.id OR NEW.created_at <> OLD.created_at
      THEN RAISE(FAIL, 'a job keeps its name and place')
    WHEN NEW.epoch < OLD.epoch OR NEW.attempt < OLD.attempt OR NEW.crashes < OLD.crashes
      THEN RAISE(FAIL, 'counters of a job only grow')
    WHEN OLD.state = 'queued'
      AND (NEW.state = 'working' OR NEW.state = 'done' AND (NEW.epoch = OLD.epoch OR NEW.claimed_at IS NULL))
      THEN RAISE(FAIL, 'a queued job must be claimed first')
    WHEN OLD.state = 'working' AND NEW.state = 'loading'
      THEN RAISE(FAIL, 'a working job does not load')
    WHEN OLD.state = 'queued' AND (NEW.state = 'loading' OR NEW.state = 'done')
      AND (NEW.epoch <> OLD.epoch + 1 OR OLD.retry_at IS NOT NULL)
      THEN RAISE(FAIL, 'a claim takes a ready job and one epoch')
    WHEN NEW.epoch <> OLD.epoch AND NOT (OLD.state = 'queued' AND (NEW.state = 'loading' OR NEW.state = 'done'))
      THEN RAISE(FAIL, 'only a claim changes the epoch')
    WHEN OLD.slot IS NOT NULL AND NEW.slot <> OLD.slot
      THEN RAISE(FAIL, 'a running job keeps its slot')
    WHEN OLD.slot IS NULL AND NEW.slot IS NOT NULL
      AND EXISTS (SELECT 1 FROM jobs WHERE state <> 'queued' AND slot = NEW.slot)
      THEN RAISE(FAIL, 'at most one job runs in a slot')
  END;
END;
