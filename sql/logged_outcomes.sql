-- Purpose: which outcomes are logged: labels, and those that have a name, such as ratings.
-- Parameters: cut_off
-- Grain: endpoint, name
-- Columns: endpoint, name (null: labels), rows, first_at, last_at
SELECT
  o.endpoint AS endpoint,
  o.name AS name,
  COUNT(*) AS "rows",
  MIN(o."timestamp") AS first_at,
  MAX(o."timestamp") AS last_at
FROM outcomes AS o
WHERE o."timestamp" <= $cut_off
GROUP BY o.endpoint, o.name
ORDER BY o.endpoint, o.name
