const ws = new WebSocket('ws://localhost:8000/api/jobs/job-123-abc/stream');

ws.onmessage = (event) => {
  const data = JSON.parse(event.data);
  
  switch (data.type) {
    case 'progress':
      console.log(`Progress: ${(data.progress * 100).toFixed(1)}%`);
      break;
    case 'stage_complete':
      console.log(`Stage ${data.stage} completed in ${data.duration_seconds}s`);
      break;
    case 'completed':
      console.log('Job completed:', data.metadata);
      ws.close();
      break;
    case 'error':
      console.error('Job error:', data.error);
      break;
  }
};

ws.onerror = (error) => {
  console.error('WebSocket error:', error);
};
