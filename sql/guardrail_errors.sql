-- Purpose: additive moments of errors over unit totals, for the error-rate guardrail (errors / requests, delta
--   method). All integers.
-- Parameters: endpoint, rollout, epochs, cut_off
-- Grain: assigned variant
-- Columns: assigned_variant, units, requests, requests_squared, errors, errors_squared, errors_requests, error_units
--   (units with at least one error), fallbacks, statuses (requests whose status was logged)
-- uses: unit_requests
SELECT
  u.assigned_variant AS assigned_variant,
  COUNT(*) AS units,
  CAST(SUM(u.requests) AS BIGINT) AS requests,
  CAST(SUM(u.requests * u.requests) AS BIGINT) AS requests_squared,
  CAST(SUM(u.errors) AS BIGINT) AS errors,
  CAST(SUM(u.errors * u.errors) AS BIGINT) AS errors_squared,
  CAST(SUM(u.errors * u.requests) AS BIGINT) AS errors_requests,
  COUNT(CASE WHEN u.errors > 0 THEN 1 END) AS error_units,
  CAST(SUM(u.fallbacks) AS BIGINT) AS fallbacks,
  CAST(SUM(u.statuses) AS BIGINT) AS statuses
FROM unit_requests AS u
GROUP BY u.assigned_variant
ORDER BY u.assigned_variant
