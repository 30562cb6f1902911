#!/usr/bin/env node
import { mainAndExit } from '../dist/cli/main.js';

void mainAndExit();
