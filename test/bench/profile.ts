import type { Settings } from './settings.ts';
export async function measureProfiles(_: Settings): Promise<void> {}
