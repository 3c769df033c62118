export type { Callback, JobHandler, RequestReplyOptions } from './reqrep-options.ts';
export { Reply } from './reqrep-reply.ts';
export { Request } from './reqrep-request.ts';
