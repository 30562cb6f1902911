import { testChain } from './chains.js';
import { finished, mending, read, uncommitted, unacknowledged, verifying } from './points.js';

testChain({ from: 'postgres18', to: 'postgres14', kills: {
  'mid-batch': read(4_000_000), 'between write and state': unacknowledged('postgres14', 4), 'while keys are built': finished('postgres14'), 'while verifying': verifying(1_000_000), 'while mending': mending('postgres14'),
} });
testChain({ from: 'postgres18', to: 'mariadb', kills: {
  'before the commit': uncommitted('mariadb', 4), 'mid-batch': read(2_000_000), 'between write and state': unacknowledged('mariadb', 4), 'while tables are finished': finished('mariadb'), 'while mending': mending('mariadb'),
} });
testChain({ from: 'mariadb', to: 'postgres18', kills: {
  'while keys are built': finished('postgres18'), 'while verifying': verifying(1_000_000), 'while mending': mending('postgres18'),
} });
