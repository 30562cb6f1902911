import type { Connector } from '../../contract.js';
import { fileIn } from './address.js';
import { destination } from './destination.js';
import { openExisting, openForWriting } from './session.js';
import { openScratch } from './scratch.js';
import { source } from './source.js';

/** `sqlite:PATH`, `sqlite:///absolute/path`, `sqlite:PATH?mode=ro`: a file, as source and as destination. */
export const sqlite: Connector = {
  name: 'sqlite',
  schemes: ['sqlite'],
  openSource: async (url, options) => source(openExisting(fileIn(url)), options),
  openDestination: async (url) => destination(openForWriting(fileIn(url))),
  openScratch: (_url, name, options) => openScratch(name, options),
};
