-- Purpose: units that the champion answered before LIVE, and how: each unit's first such request.
-- Parameters: endpoint, rollout, epochs (of shadow and canary), cut_off, champion (its variant)
-- Grain: unit
-- Columns: unit_id, assigned_variant, exposed_at, request_id, prediction, features
SELECT
  ranked.unit_id AS unit_id,
  ranked.assigned_variant AS assigned_variant,
  ranked."timestamp" AS exposed_at,
  ranked.request_id AS request_id,
  ranked.prediction AS prediction,
  ranked.features AS features
FROM (
  SELECT
    p.*,
    ROW_NUMBER() OVER (PARTITION BY p.unit_id ORDER BY p."timestamp", p.request_id) AS place
  FROM first_rows AS p
  WHERE p.endpoint = $endpoint
    AND p.rollout = $rollout
    AND p.epoch IN $epochs
    AND p."timestamp" <= $cut_off
    AND p.unit_id IS NOT NULL
    AND p.variant = $champion
    AND NOT p.fallback
) AS ranked
WHERE ranked.place = 1
