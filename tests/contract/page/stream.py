import asyncio
import websockets
import json

async def monitor_job(job_id: str):
    uri = f'ws://localhost:8000/api/jobs/{job_id}/stream'
    
    async with websockets.connect(uri) as websocket:
        async for message in websocket:
            data = json.loads(message)
            
            if data['type'] == 'progress':
                print(f"Progress: {data['progress']*100:.1f}% - {data['message']}")
            elif data['type'] == 'completed':
                print(f"Completed: {data['message']}")
                break
            elif data['type'] == 'error':
                print(f"Error: {data['error']}")
                break

asyncio.run(monitor_job('job-123-abc'))
