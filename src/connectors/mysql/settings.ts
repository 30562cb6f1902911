import { lockedSeconds } from '../../destination/changes.js';
import type { Version } from './session.js';

const forever = 31_536_000;

interface Settings { readonly needed: readonly string[]; readonly wished: readonly string[] }

/** What changes the spelling of a value, or ends a session that waits for the other end. */
function common({ flavour }: Version): Settings {
  return {
    needed: [
      'SET NAMES utf8mb4',
      `SET SESSION sql_mode = 'STRICT_ALL_TABLES,ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00', autocommit = 1`,
    ],
    wished: [
      `SET SESSION wait_timeout = ${forever}, net_write_timeout = ${forever}, net_read_timeout = ${forever}`,
      "SET SESSION lc_messages = 'en_US'",
      'SET SESSION sql_safe_updates = 0, sql_select_limit = DEFAULT, sql_big_selects = 1, sql_auto_is_null = 0',
      flavour === 'mariadb' ? 'SET SESSION max_statement_time = 0' : 'SET SESSION max_execution_time = 0',
      ...(flavour === 'mysql' ? ['SET SESSION information_schema_stats_expiry = 0'] : []),
    ],
  };
}

export function sourceSettings(version: Version): Settings {
  const { needed, wished } = common(version);
  return { needed: [...needed, 'SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ'], wished };
}

/** Zero dates, days that a month has not, and 0 as an AUTO_INCREMENT value are kept as they are; anything else that would change is an error or a warning. */
export function destinationSettings(version: Version): Settings {
  const { needed, wished } = common(version);
  return {
    // A fence of dsync's lets sessions with this variable pass (fence.ts).
    needed: [...needed, 'SET SESSION sql_notes = 1, unique_checks = 1', 'SET @dsync_writes = 1'],
    wished: [
      ...wished,
      // MySQL lets few users raise it; then bad rows are found in more steps.
      'SET SESSION max_error_count = 65535',
      'SET SESSION foreign_key_checks = 0',
      `SET SESSION lock_wait_timeout = ${lockedSeconds}, innodb_lock_wait_timeout = ${lockedSeconds}`,
      'SET SESSION explicit_defaults_for_timestamp = 1',
      // Fewer locks than REPEATABLE READ; InnoDB forbids it where the binlog holds statements.
      "SET SESSION transaction_isolation = IF(@@binlog_format = 'STATEMENT', 'REPEATABLE-READ', 'READ-COMMITTED')",
      "SET SESSION tx_isolation = IF(@@binlog_format = 'STATEMENT', 'REPEATABLE-READ', 'READ-COMMITTED')",
    ],
  };
}
