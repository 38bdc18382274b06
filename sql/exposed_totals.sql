-- Purpose: the sums of exposed_units, and since when the lake holds rows of the endpoint at all.
-- Parameters: endpoint, candidate, since, until, first_day, units (as exposed_units takes them)
-- Grain: one row
-- Columns: units, requests, by_candidate, failed, without_unit, first_at, last_at, held_since
-- uses: exposed_units
SELECT
  COUNT(e.unit_id) AS units,
  CAST(COALESCE(SUM(e.requests), 0) AS BIGINT) AS requests,
  CAST(COALESCE(SUM(e.by_candidate), 0) AS BIGINT) AS by_candidate,
  CAST(COALESCE(SUM(e.failed), 0) AS BIGINT) AS failed,
  CAST(COALESCE(SUM(CASE WHEN e.unit_id IS NULL THEN e.by_candidate ELSE 0 END), 0) AS BIGINT) AS without_unit,
  MIN(e.first_at) AS first_at,
  MAX(e.last_at) AS last_at,
  (SELECT MIN(p."timestamp") FROM predictions AS p WHERE p.endpoint = $endpoint) AS held_since
FROM exposed_units AS e
