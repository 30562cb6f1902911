import { describe, expect, it } from 'vitest';
import { Channel } from '../../src/channel/channel.js';

const settled = async (promise: Promise<unknown>) => {
  let state = 'waiting';
  promise.then(() => { state = 'resolved'; }, () => { state = 'rejected'; });
  await new Promise((resolve) => setImmediate(resolve));
  return state;
};

describe('the channel', () => {
  it('delivers messages in the order in which they were sent', async () => {
    const channel = new Channel<number>(100);
    for (const n of [1, 2, 3]) await channel.send(n, 1);
    expect([await channel.receive(), await channel.receive(), await channel.receive()]).toEqual([1, 2, 3]);
  });

  it('keeps a sender waiting until the bytes of others are released', async () => {
    const channel = new Channel<string>(10);
    await channel.send('a', 6);
    const second = channel.send('b', 6);
    expect(await settled(second)).toBe('waiting');
    expect(await channel.receive()).toBe('a');
    expect(await settled(second)).toBe('waiting');
    channel.release(6);
    expect(await settled(second)).toBe('resolved');
    expect(channel.inFlight).toBe(6);
  });

  it('lets a message larger than its bound pass alone', async () => {
    const channel = new Channel<string>(10);
    await channel.send('small', 1);
    const huge = channel.send('huge', 1000);
    expect(await settled(huge)).toBe('waiting');
    channel.release(1);
    expect(await settled(huge)).toBe('resolved');
    expect(await settled(channel.send('next', 1))).toBe('waiting');
  });

  it('does not let a small message overtake a large one that waits', async () => {
    const channel = new Channel<string>(10);
    await channel.send('first', 8);
    const large = channel.send('large', 9);
    const small = channel.send('small', 1);
    channel.release(8);
    await large;
    expect(await settled(small)).toBe('resolved');
    expect([await channel.receive(), await channel.receive(), await channel.receive()]).toEqual(['first', 'large', 'small']);
  });

  it('gives what is left, then nothing, once it is closed', async () => {
    const channel = new Channel<string>(10);
    await channel.send('last', 1);
    channel.close();
    expect(await channel.receive()).toBe('last');
    expect(await channel.receive()).toBeUndefined();
  });

  it('ends every wait with the reason it failed for', async () => {
    const channel = new Channel<string>(10);
    await channel.send('a', 10);
    const sender = channel.send('b', 10);
    channel.fail(new Error('the source went away'));
    await expect(sender).rejects.toThrow('the source went away');
    await expect(channel.receive()).rejects.toThrow('the source went away');
    await expect(channel.send('c', 1)).rejects.toThrow('the source went away');
  });

  it('wakes receivers that wait when it is closed or fails', async () => {
    const closed = new Channel<string>(10), failed = new Channel<string>(10);
    const none = closed.receive(), error = failed.receive();
    closed.close();
    failed.fail(new Error('stop'));
    expect(await none).toBeUndefined();
    await expect(error).rejects.toThrow('stop');
  });
});
