/**
 * push.v1, the same as `proto/push/v1/push.proto`, for clients that ask what the messages are. No codec walks these tables: pushes have a
 * reader of their own (write/push-message.ts).
 */
import { message, nested, scalar } from "./schema.ts";
import type { MessageSchema } from "./schema.ts";
import { LABEL_PAIR, PROFILE_ANNOTATION } from "./types-v1.ts";

const RAW_SAMPLE: MessageSchema<object> = message("push.v1.RawSample", [scalar(1, "raw_profile", "bytes"), scalar(2, "ID", "string")]);

const RAW_PROFILE_SERIES: MessageSchema<object> = message("push.v1.RawProfileSeries", [
  nested(1, "labels", LABEL_PAIR, { isRepeated: true }),
  nested(2, "samples", RAW_SAMPLE, { isRepeated: true }),
  nested(3, "annotations", PROFILE_ANNOTATION, { isRepeated: true }),
]);

export const PUSH_REQUEST: MessageSchema<object> = message("push.v1.PushRequest", [nested(1, "series", RAW_PROFILE_SERIES, { isRepeated: true })]);

export const PUSH_RESPONSE: MessageSchema<object> = message("push.v1.PushResponse", []);
