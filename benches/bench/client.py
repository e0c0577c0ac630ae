"""The API as a client sees it, on one kept connection."""

import http.client
import json
import time
import uuid


class Client:
    """One connection. Not for several threads."""

    def __init__(self, address, timeout=120):
        self.address = address
        self._connection = http.client.HTTPConnection(address, timeout=timeout)

    def request(self, method, path, body=None, headers=None):
        """Status, headers and parsed JSON."""
        self._connection.request(method, path, body=body, headers=headers or {})
        answer = self._connection.getresponse()
        return answer.status, answer.headers, json.loads(answer.read())

    def get(self, path):
        """Body of a GET that must succeed."""
        status, _, body = self.request("GET", path)
        if status != 200:
            raise RuntimeError(f"GET {path}: {status} {body}")
        return body

    def timed_get(self, path):
        """Seconds until the whole body is here, and the headers."""
        begun = time.perf_counter()
        self._connection.request("GET", path)
        answer = self._connection.getresponse()
        body = answer.read()
        elapsed = time.perf_counter() - begun
        if answer.status != 200:
            raise RuntimeError(f"GET {path}: {answer.status} {body[:500]}")
        return elapsed, answer.headers

    def upload(self, files):
        """Uploads (name, bytes) pairs in one request; answers the job ids."""
        boundary = uuid.uuid4().hex
        parts = []
        for name, content in files:
            head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: text/markdown\r\n\r\n'
            parts += [head.encode(), content, b"\r\n"]
        body = b"".join([*parts, f"--{boundary}--\r\n".encode()])
        status, _, answer = self.request(
            "POST", "/api/upload", body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        )
        if status != 202:
            raise RuntimeError(f"the upload of {len(files)} files was answered with {status} {answer}")
        return [job["job_id"] for job in answer.get("jobs", [answer])]

    def wait_completed(self, jobs, seconds=600):
        """Waits until all jobs have completed; fails when one ends otherwise."""
        deadline = time.monotonic() + seconds
        for job in jobs:
            while True:
                page = self.get(f"/api/jobs/{job}")
                if page["status"] == "completed":
                    break
                if page["status"] in ("failed", "cancelled") or time.monotonic() > deadline:
                    raise RuntimeError(f"job {job} is {page['status']}: {page['message']} {page['errors']}")
                time.sleep(0.05)
