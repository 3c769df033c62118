import type { Case } from './case.ts';
import { deliveries } from './deliveries.ts';
import { gearman } from './gearman-cases.ts';
import { hops } from './hops.ts';
import { pulls } from './pulls.ts';
import { pushes } from './pushes.ts';
import { requestCases } from './request-cases.ts';

export const cases: Record<string, Case> = { ...pushes, ...pulls, ...deliveries, ...hops, ...gearman, ...requestCases };
