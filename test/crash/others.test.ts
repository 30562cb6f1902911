import { testChain } from './chains.js';
import { finished, mending, read, uncommitted, unacknowledged, verifying } from './points.js';

testChain({ from: 'mariadb', to: 'mariadb', kills: {
  'between write and state': unacknowledged('mariadb', 4), 'while tables are finished': finished('mariadb'), 'while mending': mending('mariadb'),
} });
testChain({ from: 'mysql9', to: 'postgres14', kills: {
  'before the commit': uncommitted('postgres14', 4), 'mid-batch': read(3_000_000), 'while verifying': verifying(1_000_000),
} });
testChain({ from: 'postgres18', to: 'sqlite', kills: {
  'mid-batch': read(3_000_000), 'mid-batch once more': read(3_000_000), 'while verifying': verifying(1_000_000),
} });
testChain({ from: 'sqlite', to: 'postgres18', kills: {
  'between write and state': unacknowledged('postgres18', 4), 'before the commit': uncommitted('postgres18', 4), 'while statistics are taken': finished('postgres18'), 'while mending': mending('postgres18'),
} });
testChain({ from: 'mongodb', to: 'mongodb', kills: {
  'mid-batch': read(3_000_000), 'between write and state': unacknowledged('mongodb', 4), 'while verifying': verifying(1_000_000), 'while mending': mending('mongodb'),
} });
testChain({ from: 'postgres18', to: 'mongodb', kills: {
  'between write and state': unacknowledged('mongodb', 4), 'while a table is swapped in': finished('mongodb'), 'while mending': mending('mongodb'),
} });
