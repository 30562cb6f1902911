#!/usr/bin/env -S MALLOC_MMAP_THRESHOLD_=500000 node
// The variable keeps glibc from raising that limit by itself: large values then go back to the system when they are freed
// (bench/memory.ts: a fifth less). Other systems ignore it.
import { mainAndExit } from '../dist/cli/main.js';
import { keepHeapSmall } from '../dist/cli/heap.js';

keepHeapSmall();
void mainAndExit();
