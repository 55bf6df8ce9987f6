/** Structured logs: one JSON object per line, written by pino. Only this file imports pino. */
import pino from "pino";

export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** The same logger with `fields` on every line. */
  with(fields: LogFields): Logger;
}

export type LogLevel = "debug" | "info" | "warn" | "error";

/** Writes to standard error (file descriptor 2), so that the output of commands stays clean. */
export function openLogger(level: LogLevel): Logger {
  const destination = pino.destination({ fd: 2, sync: true });
  return wrap(pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } }, destination));
}

export const silentLogger: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  with: () => silentLogger,
};

function wrap(inner: pino.Logger): Logger {
  const fieldsOf = (fields: LogFields | undefined): object => {
    if (fields === undefined) return {};
    const { error, ...rest } = fields;
    return error === undefined ? rest : { ...rest, err: error };
  };
  return {
    // At a higher level the debug line of each request costs nothing.
    debug: inner.isLevelEnabled("debug") ? (message, fields) => inner.debug(fieldsOf(fields), message) : () => {},
    info: (message, fields) => inner.info(fieldsOf(fields), message),
    warn: (message, fields) => inner.warn(fieldsOf(fields), message),
    error: (message, fields) => inner.error(fieldsOf(fields), message),
    with: (fields) => wrap(inner.child(fieldsOf(fields))),
  };
}
