import httpx

async with httpx.AsyncClient() as client:
    response = await client.get(
        'http://localhost:8000/api/jobs',
        params={'status': 'running', 'limit': 10}
    )
    data = response.json()
    
    for job in data['jobs']:
        print(f"{job['job_type']}: {job['progress']*100:.1f}% - {job['message']}")
