-- Purpose: each exposed unit's total of a declared metric, in whole steps of its resolution. Each value is quantised
--   alone, ties to even, after noise of floats below a millionth of a step is rounded away; sums of integers are the
--   same in every order. A total beyond the cap counts as the cap. What is beyond 2^40 steps is told, never counted.
-- Parameters: endpoint, rollout, epochs, cut_off, matures_after (interval), field, divisor, field_key, divisor_key,
--   operator, number, phrase (these as metric_events.sql), steps (of the resolution, in one unit of the metric), each
--   (whether a unit's total is the mean of its values in place of their sum), cap (in steps, or null), needed (whether a
--   unit without a value is left out; else it counts as 0)
-- Grain: unit
-- Columns: unit_id, assigned_variant, exposed_day, features, closed, counted (closed, and not left out), y, d (totals
--   in steps), holds (1 where the rate's condition held at least once), capped, too_large (1 or 0)
-- uses: exposures, unit_outcomes, metric_events
WITH scaled AS (
  SELECT m.unit_id AS unit_id, m.holds AS holds, m.y * $steps AS y, m.d * $steps AS d
  FROM metric_events AS m
),
bounded AS (
  SELECT
    s.unit_id AS unit_id,
    s.holds AS holds,
    CASE WHEN ABS(s.y) > 1099511627776 OR ABS(s.d) > 1099511627776 THEN 1 ELSE 0 END AS beyond,
    CASE WHEN s.y > 2199023255552 THEN 2199023255552 WHEN s.y < -2199023255552 THEN -2199023255552 ELSE s.y END AS y,
    CASE WHEN s.d > 2199023255552 THEN 2199023255552 WHEN s.d < -2199023255552 THEN -2199023255552 ELSE s.d END AS d
  FROM scaled AS s
),
stepped AS (
  SELECT
    b.unit_id AS unit_id,
    b.holds AS holds,
    b.beyond AS beyond,
    CAST(ROUND_EVEN(ROUND(b.y, 6), 0) AS HUGEINT) AS y,
    CAST(ROUND_EVEN(ROUND(b.d, 6), 0) AS HUGEINT) AS d
  FROM bounded AS b
),
summed AS (
  SELECT
    s.unit_id AS unit_id,
    COUNT(s.y) AS found,
    MAX(s.holds) AS holds,
    MAX(s.beyond) AS beyond,
    CASE
      WHEN $each THEN CAST(ROUND_EVEN(CAST(SUM(s.y) AS DOUBLE) / NULLIF(COUNT(s.y), 0), 0) AS HUGEINT)
      ELSE SUM(s.y)
    END AS y,
    SUM(s.d) AS d
  FROM stepped AS s
  GROUP BY s.unit_id
),
totalled AS (
  SELECT
    u.unit_id AS unit_id,
    u.assigned_variant AS assigned_variant,
    u.exposed_day AS exposed_day,
    u.features AS features,
    u.closed AS closed,
    u.closed AND (COALESCE(t.found, 0) > 0 OR NOT $needed) AS counted,
    COALESCE(t.holds, 0) AS holds,
    CASE WHEN $cap IS NULL THEN COALESCE(t.beyond, 0) ELSE 0 END AS beyond,
    CASE WHEN t.y > CAST($cap AS HUGEINT) THEN 1 ELSE 0 END AS capped,
    CASE WHEN t.y > CAST($cap AS HUGEINT) THEN CAST($cap AS HUGEINT) ELSE COALESCE(t.y, 0) END AS y,
    COALESCE(t.d, 0) AS d
  FROM unit_outcomes AS u
  LEFT JOIN summed AS t ON t.unit_id = u.unit_id
),
judged AS (
  SELECT
    q.*,
    CASE WHEN q.beyond = 1 OR ABS(q.y) > 1099511627776 OR ABS(q.d) > 1099511627776 THEN 1 ELSE 0 END AS too_large
  FROM totalled AS q
)
SELECT
  j.unit_id AS unit_id,
  j.assigned_variant AS assigned_variant,
  j.exposed_day AS exposed_day,
  j.features AS features,
  j.closed AS closed,
  j.counted AS counted,
  CASE WHEN j.too_large = 0 THEN CAST(j.y AS BIGINT) END AS y,
  CASE WHEN j.too_large = 0 THEN CAST(j.d AS BIGINT) END AS d,
  j.holds AS holds,
  j.capped AS capped,
  j.too_large AS too_large
FROM judged AS j
