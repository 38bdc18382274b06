-- Purpose: how many lines are kept in quarantine, and why.
-- Parameters: reason (text that the reason holds; empty: any)
-- Grain: source, kind, endpoint, verdict, reason
-- Columns: source, kind, endpoint, verdict, reason, lines, first_line, last_line
SELECT
  q.source AS source,
  q.kind AS kind,
  q.endpoint AS endpoint,
  q.verdict AS verdict,
  q.reason AS reason,
  COUNT(*) AS lines,
  MIN(q.line) AS first_line,
  MAX(q.line) AS last_line
FROM quarantine AS q
WHERE POSITION($reason IN q.reason) > 0
GROUP BY q.source, q.kind, q.endpoint, q.verdict, q.reason
ORDER BY q.source, q.kind, q.endpoint, q.verdict, q.reason
