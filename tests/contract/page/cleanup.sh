curl -X POST http://localhost:8000/api/jobs/cleanup \
  -H "Content-Type: application/json" \
  -d '{"older_than_days": 30}'
