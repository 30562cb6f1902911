import type { cleanup } from '../coordinator/cleanup.js';
import type { abortCutover } from '../coordinator/cutover.js';
import type { doctor, plan } from '../coordinator/plan.js';
import type { replay } from '../coordinator/replay.js';
import type { roundtrip } from '../coordinator/roundtrip.js';
import type { selftest } from '../coordinator/selftest.js';
import type { resume, sync } from '../coordinator/sync.js';
import type { verifyOnly } from '../coordinator/verify.js';

/** What the commands ask of the coordinator. */
export interface Actions {
  readonly sync: typeof sync;
  readonly resume: typeof resume;
  readonly plan: typeof plan;
  readonly verifyOnly: typeof verifyOnly;
  readonly doctor: typeof doctor;
  readonly cleanup: typeof cleanup;
  readonly abortCutover: typeof abortCutover;
  readonly selftest: typeof selftest;
  readonly roundtrip: typeof roundtrip;
  readonly replay: typeof replay;
}

/** The coordinator, loaded when a command needs it: `dsync --help` doesn't. */
export async function loadActions(): Promise<Actions> {
  const [{ cleanup }, { abortCutover }, { doctor, plan }, { replay }, { roundtrip }, { selftest }, { resume, sync }, { verifyOnly }] = await Promise.all([
    import('../coordinator/cleanup.js'), import('../coordinator/cutover.js'), import('../coordinator/plan.js'), import('../coordinator/replay.js'), import('../coordinator/roundtrip.js'), import('../coordinator/selftest.js'),
    import('../coordinator/sync.js'), import('../coordinator/verify.js'),
  ]);
  return { sync, resume, plan, verifyOnly, doctor, cleanup, abortCutover, selftest, roundtrip, replay };
}
