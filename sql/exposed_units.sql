-- Purpose: the units that a variant answered, or was asked last for, with when and how often: for remediation. Rows count
--   whether or not a rollout counts them, because units outside of it meet the candidate too while it is promoted.
--   Shadow answers are in other tables and reached nobody.
-- Parameters: endpoint, candidate, since (rows from it on count), until (rows before it count), first_day (the UTC day
--   of since), units (hashes of the units that are asked for; null: all)
-- Grain: unit; null stands for all requests that named none
-- Columns: unit_id, first_at, last_at, requests, by_candidate, by_others, failed, fallbacks, assigned_candidate,
--   assigned_others, not_assigned
SELECT
  p.unit_id AS unit_id,
  MIN(CASE WHEN p.variant = $candidate THEN p."timestamp" END) AS first_at,
  MAX(CASE WHEN p.variant = $candidate THEN p."timestamp" END) AS last_at,
  COUNT(*) AS requests,
  CAST(SUM(CASE WHEN p.variant = $candidate THEN 1 ELSE 0 END) AS BIGINT) AS by_candidate,
  CAST(SUM(CASE WHEN p.variant = $candidate THEN 0 ELSE 1 END) AS BIGINT) AS by_others,
  CAST(SUM(CASE WHEN p.variant = $candidate AND (p.status >= 400 OR (p.status IS NOT NULL AND p.prediction IS NULL))
    THEN 1 ELSE 0 END) AS BIGINT) AS failed,
  CAST(SUM(CASE WHEN p.fallback THEN 1 ELSE 0 END) AS BIGINT) AS fallbacks,
  CAST(SUM(CASE WHEN p.assigned_variant = $candidate THEN 1 ELSE 0 END) AS BIGINT) AS assigned_candidate,
  CAST(SUM(CASE WHEN p.assigned_variant <> $candidate THEN 1 ELSE 0 END) AS BIGINT) AS assigned_others,
  CAST(SUM(CASE WHEN p.assigned_variant IS NULL THEN 1 ELSE 0 END) AS BIGINT) AS not_assigned
FROM predictions AS p
WHERE p.endpoint = $endpoint
  AND p.event_date >= $first_day
  AND p."timestamp" >= $since
  AND p."timestamp" < $until
  AND (CAST($units AS VARCHAR[]) IS NULL OR list_contains(CAST($units AS VARCHAR[]), p.unit_id))
GROUP BY p.unit_id
HAVING SUM(CASE WHEN p.variant = $candidate THEN 1 ELSE 0 END) > 0
ORDER BY first_at, p.unit_id
