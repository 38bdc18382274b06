-- Purpose: moments of a declared metric by the value of one feature: reported, never decided on. The 50 values with
--   most units; the others together are (other), units without the feature (missing).
-- Parameters: endpoint, rollout, epochs, cut_off, matures_after (interval), field, divisor, field_key, divisor_key,
--   operator, number, phrase, steps, each, cap, needed (all as unit_totals.sql), segment (key of the features object)
-- Grain: segment value, assigned variant
-- Columns: segment, assigned_variant, units, closed, n (units that count), holds, capped, too_large (units among them),
--   sy, syy, sd, sdd, syd (sums over unit totals in steps, of y, y^2, d, d^2 and y d: whole numbers as decimal text,
--   because they need up to 128 bits; null where no unit counts)
-- uses: exposures, unit_outcomes, metric_events, unit_totals
WITH found_values AS (
  SELECT
    t.*,
    COALESCE(json_extract_string(t.features, '$."' || $segment || '"'), '(missing)') AS found
  FROM unit_totals AS t
),
ranked_values AS (
  SELECT
    v.found AS found,
    ROW_NUMBER() OVER (ORDER BY COUNT(*) DESC, v.found) AS place
  FROM found_values AS v
  GROUP BY v.found
),
named AS (
  SELECT
    v.*,
    CASE WHEN r.place <= 50 THEN v.found ELSE '(other)' END AS segment
  FROM found_values AS v
  JOIN ranked_values AS r ON r.found = v.found
)
SELECT
  u.segment AS segment,
  u.assigned_variant AS assigned_variant,
  COUNT(*) AS units,
  COUNT(CASE WHEN u.closed THEN 1 END) AS closed,
  COUNT(CASE WHEN u.counted THEN 1 END) AS n,
  COUNT(CASE WHEN u.counted AND u.holds = 1 THEN 1 END) AS holds,
  COUNT(CASE WHEN u.counted AND u.capped = 1 THEN 1 END) AS capped,
  COUNT(CASE WHEN u.counted AND u.too_large = 1 THEN 1 END) AS too_large,
  CAST(SUM(CASE WHEN u.counted THEN CAST(u.y AS HUGEINT) END) AS VARCHAR) AS sy,
  CAST(SUM(CASE WHEN u.counted THEN CAST(u.y AS HUGEINT) * u.y END) AS VARCHAR) AS syy,
  CAST(SUM(CASE WHEN u.counted THEN CAST(u.d AS HUGEINT) END) AS VARCHAR) AS sd,
  CAST(SUM(CASE WHEN u.counted THEN CAST(u.d AS HUGEINT) * u.d END) AS VARCHAR) AS sdd,
  CAST(SUM(CASE WHEN u.counted THEN CAST(u.y AS HUGEINT) * u.d END) AS VARCHAR) AS syd
FROM named AS u
GROUP BY u.segment, u.assigned_variant
ORDER BY u.segment, u.assigned_variant
