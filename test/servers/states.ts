/** A server that runs, or why there is none. */
export type ServerState =
  /** `own`: more servers of this kind can be started. */
  | { readonly url: string; readonly version: string; readonly from: string; readonly own: boolean }
  | { readonly skipped: string };

/** The environment variable that names the file where test/global-setup.ts says which servers there are. */
export const statesVariable = 'DSYNC_TEST_SERVERS';
