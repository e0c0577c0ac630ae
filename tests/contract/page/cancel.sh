curl -X POST http://localhost:8000/api/jobs/job-123-abc/cancel
