-- Purpose: what a declared metric reads of each exposed unit: the rows of its outcome window (from its first exposure in
--   these epochs to matures_after later, up to the cut-off), its outcome, and the ratings of that window. A value that
--   is missing, or is no JSON number, is null.
-- Parameters: endpoint, rollout, epochs, cut_off, matures_after (interval), field (what the metric reads: prediction,
--   latency_ms, status, requests, measure, feature, outcome or rating), field_key (its key, of a measure or a feature),
--   divisor (the same, of a ratio's denominator), divisor_key, operator (of a rate: =, !=, <, <=, > or >=), number (that
--   a rate compares with, or null), phrase (a text in its place, or null)
-- Grain: row, outcome or rating of a unit
-- Columns: unit_id, y, d (numbers, of the field and of the divisor), holds (1 where the rate's condition does, else 0)
-- uses: exposures, unit_outcomes
WITH served AS (
  SELECT
    e.unit_id AS unit_id,
    e.exposed_at AS exposed_at,
    p.request_id AS request_id,
    p.prediction AS prediction,
    p.latency_ms AS latency_ms,
    p.status AS status,
    p.measures AS measures,
    p.features AS features
  FROM exposures AS e
  JOIN predictions AS p ON p.unit_id = e.unit_id
  WHERE p.endpoint = $endpoint
    AND p.rollout = $rollout
    AND p.epoch IN $epochs
    AND p."timestamp" >= e.exposed_at
    AND p."timestamp" <= e.exposed_at + $matures_after
    AND p."timestamp" <= $cut_off
),
rated AS (
  SELECT e.unit_id AS unit_id, o.outcome AS rating
  FROM exposures AS e
  JOIN outcomes AS o ON o.unit_id = e.unit_id
  WHERE o.endpoint = $endpoint
    AND o.name = 'rating'
    AND o."timestamp" >= e.exposed_at
    AND o."timestamp" <= e.exposed_at + $matures_after
    AND o."timestamp" <= $cut_off
  UNION ALL
  SELECT s.unit_id AS unit_id, o.outcome AS rating
  FROM (
    SELECT DISTINCT served.unit_id AS unit_id, served.exposed_at AS exposed_at, served.request_id AS request_id
    FROM served
  ) AS s
  JOIN outcomes AS o ON o.request_id = s.request_id
  WHERE o.endpoint = $endpoint
    AND o.name = 'rating'
    AND o.unit_id IS NULL
    AND o."timestamp" >= s.exposed_at
    AND o."timestamp" <= s.exposed_at + $matures_after
    AND o."timestamp" <= $cut_off
),
valued AS (
  SELECT
    s.unit_id AS unit_id,
    CASE $field
      WHEN 'prediction' THEN s.prediction
      WHEN 'latency_ms' THEN s.latency_ms
      WHEN 'status' THEN CAST(s.status AS DOUBLE)
      WHEN 'requests' THEN 1.0
      WHEN 'measure' THEN TRY_CAST(CAST(json_extract(s.measures, '$."' || $field_key || '"') AS VARCHAR) AS DOUBLE)
      WHEN 'feature' THEN TRY_CAST(CAST(json_extract(s.features, '$."' || $field_key || '"') AS VARCHAR) AS DOUBLE)
    END AS y,
    CASE $divisor
      WHEN 'prediction' THEN s.prediction
      WHEN 'latency_ms' THEN s.latency_ms
      WHEN 'status' THEN CAST(s.status AS DOUBLE)
      WHEN 'requests' THEN 1.0
      WHEN 'measure' THEN TRY_CAST(CAST(json_extract(s.measures, '$."' || $divisor_key || '"') AS VARCHAR) AS DOUBLE)
      WHEN 'feature' THEN TRY_CAST(CAST(json_extract(s.features, '$."' || $divisor_key || '"') AS VARCHAR) AS DOUBLE)
    END AS d,
    CASE WHEN $field = 'feature' AND $phrase IS NOT NULL
      THEN json_extract_string(s.features, '$."' || $field_key || '"')
    END AS phrase
  FROM served AS s
  UNION ALL
  SELECT
    u.unit_id AS unit_id,
    CASE WHEN $field = 'outcome' THEN u.outcome END AS y,
    CASE WHEN $divisor = 'outcome' THEN u.outcome END AS d,
    NULL AS phrase
  FROM unit_outcomes AS u
  WHERE u.outcome IS NOT NULL
    AND ($field = 'outcome' OR $divisor = 'outcome')
  UNION ALL
  SELECT
    r.unit_id AS unit_id,
    CASE WHEN $field = 'rating' THEN r.rating END AS y,
    CASE WHEN $divisor = 'rating' THEN r.rating END AS d,
    NULL AS phrase
  FROM rated AS r
  WHERE $field = 'rating' OR $divisor = 'rating'
)
SELECT
  v.unit_id AS unit_id,
  v.y AS y,
  v.d AS d,
  CASE
    WHEN $operator = '=' AND (v.y = $number OR v.phrase = $phrase) THEN 1
    WHEN $operator = '!=' AND (v.y <> $number OR v.phrase <> $phrase) THEN 1
    WHEN $operator = '<' AND v.y < $number THEN 1
    WHEN $operator = '<=' AND v.y <= $number THEN 1
    WHEN $operator = '>' AND v.y > $number THEN 1
    WHEN $operator = '>=' AND v.y >= $number THEN 1
    ELSE 0
  END AS holds
FROM valued AS v
