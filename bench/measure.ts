import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

/** What a process took: wall seconds, processor seconds of both cores, and its largest resident size. */
export interface Measured { readonly seconds: number; readonly cpu: number; readonly megabytes: number }

export const dsync = fileURLToPath(new URL('../bin/dsync.js', import.meta.url));

/** Runs a command to its end. Fails, with the end of its stderr, unless it exits with 0. */
export async function timed(command: string, args: readonly string[]): Promise<Measured> {
  const start = performance.now();
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let peak: Usage = { cpu: 0, megabytes: 0 }, complaint = '';
  child.stderr.on('data', (chunk: Buffer) => { complaint = (complaint + chunk.toString()).slice(-4000); });
  const watch = setInterval(() => void usageOf(child.pid!).then((now) => { peak = { cpu: Math.max(peak.cpu, now.cpu), megabytes: Math.max(peak.megabytes, now.megabytes) }; }), 50);
  const code = await new Promise((resolve) => child.once('close', resolve));
  clearInterval(watch);
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${String(code)}: ${complaint}`);
  return { seconds: (performance.now() - start) / 1000, ...peak };
}

export interface Usage { readonly cpu: number; readonly megabytes: number }

/** What a process has used so far. Nothing once it has ended. */
export async function usageOf(pid: number): Promise<Usage> {
  const [status, stat] = await Promise.all(['status', 'stat'].map((file) => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '')));
  const ticks = stat.slice(stat.lastIndexOf(')') + 2).split(' ').slice(11, 13).reduce((sum, text) => sum + Number(text), 0);
  return { cpu: ticks / 100, megabytes: Math.round(Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024) };
}
