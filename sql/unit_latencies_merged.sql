-- Purpose: unit_latencies of several batches as one, with the days before a day taken together.
-- Parameters: settled (days up to this one become this one)
-- Grain: as unit_latencies
-- Columns: endpoint, rollout, epoch, unit_id, assigned_variant, event_date, threshold, requests
SELECT
  d.endpoint AS endpoint,
  d.rollout AS rollout,
  d.epoch AS epoch,
  d.unit_id AS unit_id,
  d.assigned_variant AS assigned_variant,
  CASE WHEN d.event_date < $settled THEN $settled ELSE d.event_date END AS event_date,
  d.threshold AS threshold,
  CAST(SUM(d.requests) AS BIGINT) AS requests
FROM unit_latencies AS d
GROUP BY
  d.endpoint,
  d.rollout,
  d.epoch,
  d.unit_id,
  d.assigned_variant,
  CASE WHEN d.event_date < $settled THEN $settled ELSE d.event_date END,
  d.threshold
