-- What a job must not become is refused before anything is written of it. Said so (FAIL), SQLite keeps
-- no copies of the pages to undo half of a change; with ABORT it did so for each change of a job.

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
    WHEN OLD.state = 'queued' AND NEW.state IN ('working', 'done')
      THEN RAISE(FAIL, 'a queued job must be claimed first')
    WHEN OLD.state = 'working' AND NEW.state = 'loading'
      THEN RAISE(FAIL, 'a working job does not load')
    WHEN OLD.state = 'queued' AND NEW.state = 'loading'
      AND (NEW.epoch <> OLD.epoch + 1 OR OLD.retry_at IS NOT NULL)
      THEN RAISE(FAIL, 'a claim takes a ready job and one epoch')
    WHEN NEW.epoch <> OLD.epoch AND NOT (OLD.state = 'queued' AND NEW.state = 'loading')
      THEN RAISE(FAIL, 'only a claim changes the epoch')
    WHEN OLD.slot IS NOT NULL AND NEW.slot <> OLD.slot
      THEN RAISE(FAIL, 'a running job keeps its slot')
    WHEN OLD.slot IS NULL AND NEW.slot IS NOT NULL
      AND EXISTS (SELECT 1 FROM jobs WHERE state <> 'queued' AND slot = NEW.slot)
      THEN RAISE(FAIL, 'at most one job runs in a slot')
  END;
END;
