-- Purpose: what the quality suite must know beside the day's rows. A unit is contradictory when one published epoch
--   assigned it to two variants (between epochs an assignment may move: shadow to canary, promote steps).
--   Completeness is null when nothing of the champion was captured at all that day: capture is then off, not
--   incomplete.
-- Parameters: endpoint, rollout, day, champion (its variant)
-- Grain: one row
-- Columns: rows, units, contradictory_units, epochs_seen, null_predictions (status 200 without a prediction),
--   rows_endpoint and rows_yesterday (all rows of the endpoint, since a rollout's own share moves with its stages),
--   requests_champion (answered), captured_champion, capture_completeness
WITH today AS (
  SELECT p.*
  FROM predictions AS p
  WHERE p.endpoint = $endpoint
    AND p.rollout = $rollout
    AND p.event_date = $day
),
by_unit AS (
  SELECT
    e.unit_id AS unit_id,
    MAX(CASE WHEN e.variants > 1 THEN 1 ELSE 0 END) AS contradictory
  FROM (
    SELECT t.unit_id AS unit_id, t.epoch AS epoch, COUNT(DISTINCT t.assigned_variant) AS variants
    FROM today AS t
    WHERE t.unit_id IS NOT NULL
    GROUP BY t.unit_id, t.epoch
  ) AS e
  GROUP BY e.unit_id
),
units AS (
  SELECT COUNT(*) AS units, COUNT(CASE WHEN b.contradictory = 1 THEN 1 END) AS contradictory_units
  FROM by_unit AS b
),
figures AS (
  SELECT
    COUNT(*) AS row_count,
    COUNT(DISTINCT t.epoch) AS epochs_seen,
    COUNT(CASE WHEN t.status = 200 AND t.prediction IS NULL THEN 1 END) AS null_predictions
  FROM today AS t
),
volume AS (
  SELECT
    COUNT(CASE WHEN p.event_date = $day THEN 1 END) AS rows_endpoint,
    COUNT(CASE WHEN p.event_date < $day THEN 1 END) AS rows_yesterday
  FROM predictions AS p
  WHERE p.endpoint = $endpoint
    AND p.event_date BETWEEN $day - INTERVAL '1' DAY AND $day
),
captured AS (
  SELECT
    COUNT(DISTINCT t.request_id) AS requests_champion,
    COUNT(DISTINCT c.inference_id) AS captured_champion
  FROM today AS t
  LEFT JOIN captures AS c
    ON c.inference_id = t.request_id AND c.endpoint = $endpoint AND c.variant = $champion
  WHERE t.variant = $champion
    AND t.status < 400
)
SELECT
  f.row_count AS "rows",
  u.units AS units,
  u.contradictory_units AS contradictory_units,
  f.epochs_seen AS epochs_seen,
  f.null_predictions AS null_predictions,
  v.rows_endpoint AS rows_endpoint,
  v.rows_yesterday AS rows_yesterday,
  c.requests_champion AS requests_champion,
  c.captured_champion AS captured_champion,
  CASE
    WHEN c.captured_champion > 0 THEN CAST(c.captured_champion AS DOUBLE) / c.requests_champion
  END AS capture_completeness
FROM figures AS f
CROSS JOIN units AS u
CROSS JOIN volume AS v
CROSS JOIN captured AS c
