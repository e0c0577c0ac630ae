curl http://localhost:8000/api/jobs/job-123-abc
