#!/usr/bin/env node
import { mainAndExit } from '../dist/cli/main.js';
import { keepHeapSmall } from '../dist/cli/heap.js';

keepHeapSmall();
void mainAndExit();
