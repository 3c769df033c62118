import { gearmanSupports } from '../../../lib/connect.ts';
import { connectGearman } from '../../../lib/drivers/gearman/connection.ts';
import { GearmanServer } from '../../support/gearman.ts';
import { contract } from '../contract/contract.ts';

let server: GearmanServer;

describe('gearman', () => {
  before(async () => {
    server = await GearmanServer.start();
  });
  after(() => server[Symbol.asyncDispose]());

  contract('gearman', {
    supports: gearmanSupports,
    open: async (prefix = '') => connectGearman(server.url, { prefix, maxClients: 100 }),
  });
});
