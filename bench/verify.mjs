// How many rows a second the verifier compares, apart from what the databases take: node bench/verify.mjs [rows] [differing]
import { verify } from '../dist/verifier/verify.js';

const rows = Number(process.argv[2] ?? 2_000_000), differing = Number(process.argv[3] ?? 0);
const batch = 2_000, textKey = process.argv.includes('--text-key');

const types = [
  ['id', textKey ? { kind: 'text' } : { kind: 'int', bits: 64, signed: true }], ['customer', { kind: 'int', bits: 32, signed: true }],
  ['email', { kind: 'text' }], ['amount', { kind: 'decimal', precision: 12, scale: 2 }], ['paid', { kind: 'bool' }],
  ['at', { kind: 'instant', fraction: 6 }], ['note', { kind: 'text' }], ['weight', { kind: 'float', bits: 64 }],
];
const shape = { namespace: 'orders', name: 'orders', engine: 'memory', columns: types.map(([name, type]) => ({ name, type, native: type.kind, nullable: name !== 'id' })), key: [0] };
const mapping = { source: shape, target: shape, fidelity: types.map(() => ({ level: 'exact' })), existed: false, staged: false };
const notes = Array.from({ length: 64 }, (_, i) => `note ${i}: ${'lorem ipsum dolor sit amet '.repeat(2)}`);

/** Batches are made beforehand, as often as they are needed: making them would take longer than comparing them. */
const blocks = Array.from({ length: 50 }, (_, block) => Array.from({ length: batch }, (_, i) => {
  const n = block * batch + i;
  return [0n, n % 5_000, `user${n}@example.com`, `${n % 10_000}.${10 + (n % 90)}`, n % 3 === 0, `2026-01-${10 + (n % 20)} 12:34:56.${100_000 + n}`, n % 7 === 0 ? null : notes[n & 63], n / 7];
}));

function snapshot(spoil) {
  return {
    moment: { at: '', exact: true, how: 'memory' },
    parts: async (_, size) => Array.from({ length: Math.ceil(rows / size) }, (_, i) => ({ ...(i > 0 && { from: `${i * size}` }), ...((i + 1) * size < rows && { to: `${(i + 1) * size}` }) })),
    async *scan({ part }) {
      const from = Number(part.from ?? 0), to = Number(part.to ?? rows);
      for (let at = from; at < to; at += batch) {
        const block = blocks[(at / batch) % blocks.length].slice(0, Math.min(batch, to - at));
        for (let i = 0; i < block.length; i++) block[i][0] = textKey ? `key-${at + i}` : BigInt(at + i);
        if (spoil && differing > 0) for (let i = 0; i < block.length; i++) if ((at + i) % Math.ceil(rows / differing) === 1) block[i] = block[i].with(2, 'spoilt');
        yield block;
        await undefined;
      }
    },
    async [Symbol.asyncDispose]() {},
  };
}

const started = performance.now(), before = process.cpuUsage();
const [result] = await verify({ source: snapshot(false), openDestination: async () => snapshot(true), mappings: [mapping], emit: () => {}, signal: new AbortController().signal, concurrency: 1 });
const seconds = (performance.now() - started) / 1_000, cpu = process.cpuUsage(before);
console.log(`${result.result}: ${rows.toLocaleString('en')} rows of 8 columns on each side, ${result.changed.toLocaleString('en')} changed, in ${seconds.toFixed(2)} s`);
const cpuSeconds = (cpu.user + cpu.system) / 1e6, count = (number) => Math.round(number).toLocaleString('en');
console.log(`${count(rows / seconds)} rows/s compared; ${count(rows / cpuSeconds)} in a second of cpu (${cpuSeconds.toFixed(2)} s, the making of rows included); ${count(process.resourceUsage().maxRSS / 1024)} MB at most`);
