curl "http://localhost:8000/api/jobs?status=running"
