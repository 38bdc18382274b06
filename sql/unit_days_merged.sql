-- Purpose: unit_days of several batches as one, with the days before a day taken together: totals up to a cut-off on a
--   later day stay the same.
-- Parameters: settled (days up to this one become this one)
-- Grain: as unit_days
-- Columns: endpoint, rollout, epoch, unit_id, assigned_variant, event_date, requests, failures, errors, fallbacks, statuses,
--   first_at, last_at
SELECT
  d.endpoint AS endpoint,
  d.rollout AS rollout,
  d.epoch AS epoch,
  d.unit_id AS unit_id,
  d.assigned_variant AS assigned_variant,
  CASE WHEN d.event_date < $settled THEN $settled ELSE d.event_date END AS event_date,
  CAST(SUM(d.requests) AS BIGINT) AS requests,
  CAST(SUM(d.failures) AS BIGINT) AS failures,
  CAST(SUM(d.errors) AS BIGINT) AS errors,
  CAST(SUM(d.fallbacks) AS BIGINT) AS fallbacks,
  CAST(SUM(d.statuses) AS BIGINT) AS statuses,
  MIN(d.first_at) AS first_at,
  MAX(d.last_at) AS last_at
FROM unit_days AS d
GROUP BY
  d.endpoint,
  d.rollout,
  d.epoch,
  d.unit_id,
  d.assigned_variant,
  CASE WHEN d.event_date < $settled THEN $settled ELSE d.event_date END
