-- Purpose: which unit met which variant, and how: each unit's first row in a stage. A unit whose assigned variant
--   changed within these epochs is contradictory and left out (contradictions.sql counts those).
-- Parameters: endpoint, rollout, epochs (the published epochs that make up the stage), cut_off (no later row counts)
-- Grain: unit
-- Columns: unit_id, assigned_variant, exposed_at, request_id, variant, fallback, prediction, status, latency_ms,
--   features, epoch
SELECT
  ranked.unit_id AS unit_id,
  ranked.assigned_variant AS assigned_variant,
  ranked."timestamp" AS exposed_at,
  ranked.request_id AS request_id,
  ranked.variant AS variant,
  ranked.fallback AS fallback,
  ranked.prediction AS prediction,
  ranked.status AS status,
  ranked.latency_ms AS latency_ms,
  ranked.features AS features,
  ranked.epoch AS epoch
FROM (
  SELECT
    p.*,
    ROW_NUMBER() OVER (PARTITION BY p.unit_id ORDER BY p."timestamp", p.request_id) AS place,
    MIN(p.assigned_variant) OVER (PARTITION BY p.unit_id) AS lowest_variant,
    MAX(p.assigned_variant) OVER (PARTITION BY p.unit_id) AS highest_variant
  FROM first_rows AS p
  WHERE p.endpoint = $endpoint
    AND p.rollout = $rollout
    AND p.epoch IN $epochs
    AND p."timestamp" <= $cut_off
    AND p.unit_id IS NOT NULL
    AND p.assigned_variant IS NOT NULL
) AS ranked
WHERE ranked.place = 1
  AND ranked.lowest_variant = ranked.highest_variant
