-- Purpose: lines of some files that are kept in quarantine, as they came.
-- Parameters: reason (text that the reason holds; empty: any), sources, first_line, last_line
-- Grain: line of a file that was ingested
-- Columns: source, kind, endpoint, verdict, line, offset, reason, raw, ingested_at
SELECT
  q.source AS source,
  q.kind AS kind,
  q.endpoint AS endpoint,
  q.verdict AS verdict,
  q.line AS line,
  q."offset" AS "offset",
  q.reason AS reason,
  q.raw AS raw,
  q."at" AS ingested_at
FROM quarantine AS q
WHERE q.source IN $sources
  AND q.line BETWEEN $first_line AND $last_line
  AND POSITION($reason IN q.reason) > 0
ORDER BY q.source, q.line, q."at", q."offset"
