-- Purpose: one event day of one rollout in counts: its rows, how many of them have each field, and how many break each
--   rule of the quality suite. `bad_x` counts, `bad_x_low` and `bad_x_high` are two of the offending values with their
--   requests. One pass over one partition; no row leaves the engine.
-- Parameters: endpoint, rollout, day, variants (known names), epochs (published ones), lowest, highest (accepted
--   predictions, null: any), slowest (milliseconds)
-- Grain: one row
-- Columns: rows, requests (distinct ids), with_request, with_unit, with_status, with_prediction, answered (status
--   below 400 or none logged), answered_with_latency, with_latency, bad_time, bad_time_low, bad_time_high,
--   bad_variant, bad_variant_low, bad_variant_high, bad_assigned, bad_assigned_low, bad_assigned_high, bad_epoch,
--   bad_epoch_low, bad_epoch_high, bad_status, bad_status_low, bad_status_high, bad_latency, bad_latency_low,
--   bad_latency_high, bad_missing, bad_missing_low, bad_missing_high, bad_prediction, bad_prediction_low,
--   bad_prediction_high (bad_missing: status 200 without a prediction)
WITH marked AS (
  SELECT
    p.request_id AS request_id,
    p.unit_id AS unit_id,
    p.status AS status,
    p.prediction AS prediction,
    p.latency_ms AS latency_ms,
    CASE WHEN CAST(p."timestamp" AS DATE) <> $day
      THEN CAST(p."timestamp" AS VARCHAR) || ' in ' || p.request_id END AS bad_time,
    CASE WHEN NOT (p.variant IN $variants) THEN p.variant || ' in ' || p.request_id END AS bad_variant,
    CASE WHEN NOT (p.assigned_variant IN $variants)
      THEN p.assigned_variant || ' in ' || p.request_id END AS bad_assigned,
    CASE WHEN NOT (p.epoch IN $epochs) THEN CAST(p.epoch AS VARCHAR) || ' in ' || p.request_id END AS bad_epoch,
    CASE WHEN p.status < 100 OR p.status > 599
      THEN CAST(p.status AS VARCHAR) || ' in ' || p.request_id END AS bad_status,
    CASE WHEN p.latency_ms < 0 OR p.latency_ms > $slowest
      THEN CAST(p.latency_ms AS VARCHAR) || ' in ' || p.request_id END AS bad_latency,
    CASE WHEN p.status = 200 AND p.prediction IS NULL THEN p.request_id END AS bad_missing,
    CASE WHEN p.prediction < $lowest OR p.prediction > $highest
      THEN CAST(p.prediction AS VARCHAR) || ' in ' || p.request_id END AS bad_prediction
  FROM predictions AS p
  WHERE p.endpoint = $endpoint
    AND p.rollout = $rollout
    AND p.event_date = $day
)
SELECT
  COUNT(*) AS "rows",
  COUNT(DISTINCT m.request_id) AS requests,
  COUNT(m.request_id) AS with_request,
  COUNT(m.unit_id) AS with_unit,
  COUNT(m.status) AS with_status,
  COUNT(m.prediction) AS with_prediction,
  COUNT(CASE WHEN COALESCE(m.status, 0) < 400 THEN 1 END) AS answered,
  COUNT(CASE WHEN COALESCE(m.status, 0) < 400 THEN m.latency_ms END) AS answered_with_latency,
  COUNT(m.latency_ms) AS with_latency,
  COUNT(m.bad_time) AS bad_time,
  MIN(m.bad_time) AS bad_time_low,
  MAX(m.bad_time) AS bad_time_high,
  COUNT(m.bad_variant) AS bad_variant,
  MIN(m.bad_variant) AS bad_variant_low,
  MAX(m.bad_variant) AS bad_variant_high,
  COUNT(m.bad_assigned) AS bad_assigned,
  MIN(m.bad_assigned) AS bad_assigned_low,
  MAX(m.bad_assigned) AS bad_assigned_high,
  COUNT(m.bad_epoch) AS bad_epoch,
  MIN(m.bad_epoch) AS bad_epoch_low,
  MAX(m.bad_epoch) AS bad_epoch_high,
  COUNT(m.bad_status) AS bad_status,
  MIN(m.bad_status) AS bad_status_low,
  MAX(m.bad_status) AS bad_status_high,
  COUNT(m.bad_latency) AS bad_latency,
  MIN(m.bad_latency) AS bad_latency_low,
  MAX(m.bad_latency) AS bad_latency_high,
  COUNT(m.bad_missing) AS bad_missing,
  MIN(m.bad_missing) AS bad_missing_low,
  MAX(m.bad_missing) AS bad_missing_high,
  COUNT(m.bad_prediction) AS bad_prediction,
  MIN(m.bad_prediction) AS bad_prediction_low,
  MAX(m.bad_prediction) AS bad_prediction_high
FROM marked AS m
