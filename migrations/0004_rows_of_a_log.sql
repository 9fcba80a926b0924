-- The rows of a log have a number of their own. A table without one is an index, and whoever looks for
-- a place in an index reads the whole of each entry on the way; these have 32 KiB and more. Now what
-- is looked through is an index of two numbers, and only the row that was found is read.
--
-- Here are the logs of jobs that somebody follows and of long answers; those of most jobs are one row
-- of `job_ends`.

DROP VIEW job_log;

CREATE TABLE job_parts (
  seq     INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
  n       INTEGER NOT NULL CHECK (n >= 2),
  events  INTEGER NOT NULL CHECK (events > 0),
  epoch   INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  kinds   TEXT    NOT NULL,
  data    BLOB    NOT NULL,
  UNIQUE (seq, n)
) STRICT;

INSERT INTO job_parts (seq, n, events, epoch, attempt, kinds, data)
SELECT seq, n, events, epoch, attempt, kinds, data FROM job_events ORDER BY seq, n;

DROP TABLE job_events;

ALTER TABLE job_parts RENAME TO job_events;

CREATE VIEW job_log AS
SELECT seq, n, events, epoch, attempt, kinds, data FROM job_events
UNION ALL
SELECT seq, n, events, epoch, attempt, kinds, data FROM job_ends;
