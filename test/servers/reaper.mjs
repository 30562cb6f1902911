// Outlives the process that started it, and then ends that process's servers and removes their folders.
import { rm } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';

const entries = new Map();
for await (const line of createInterface({ input: process.stdin })) {
  const { folder, signal, pid, released } = JSON.parse(line);
  if (released) entries.delete(folder);
  else entries.set(folder, { signal, pid });
}
await Promise.all([...entries].map(async ([folder, { signal, pid }]) => {
  if (pid) await end(pid, signal);
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
}));

async function end(pid, signal) {
  for (let tries = 0; send(pid, tries === 0 ? signal : tries < 50 ? 0 : 'SIGKILL') && tries < 60; tries++) await delay(100);
}

function send(pid, signal) {
  try { return process.kill(pid, signal); } catch { return false; }
}
