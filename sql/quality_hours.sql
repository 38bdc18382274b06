-- Purpose: the endpoint's log on two event days, by hour: volume, exposures per unit, silent hours, and which fields
--   are logged at all. All rows of the endpoint, since a rollout's own share moves with its stages.
-- Parameters: endpoint, day, reference (an earlier day to compare with)
-- Grain: event day, hour (UTC) with rows
-- Columns: day, hour (0 to 23), rows, unit_rows (rows that name a unit), units (distinct within the hour), and rows
--   with_status, with_latency, with_prediction, with_version
SELECT
  p.event_date AS "day",
  CAST(EXTRACT(HOUR FROM p."timestamp") AS BIGINT) AS "hour",
  COUNT(*) AS "rows",
  COUNT(p.unit_id) AS unit_rows,
  COUNT(DISTINCT p.unit_id) AS units,
  COUNT(p.status) AS with_status,
  COUNT(p.latency_ms) AS with_latency,
  COUNT(p.prediction) AS with_prediction,
  COUNT(p.model_version) AS with_version
FROM predictions AS p
WHERE p.endpoint = $endpoint
  AND (p.event_date = $day OR p.event_date = $reference)
GROUP BY p.event_date, EXTRACT(HOUR FROM p."timestamp")
ORDER BY p.event_date, EXTRACT(HOUR FROM p."timestamp")
