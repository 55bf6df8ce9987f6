/** How this package asks over HTTP. The world passes a function in; `node-http.ts` is the one of a real node. */
import type { HttpSettings } from "../config/scrape-config.ts";

export interface HttpGet {
  readonly url: string;
  /** Without authorization, which comes from the settings. */
  readonly headers: Readonly<Record<string, string>>;
  readonly settings: HttpSettings;
  /** Ends the request, and the reading of the body. */
  readonly signal: AbortSignal;
}

export interface HttpReply {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** As it came: where `content-encoding` is gzip, packed. Whoever reads it bounds it. To stop early ends the connection. */
  readonly body: AsyncIterable<Uint8Array>;
}

/** Rejects where no reply came. A reply of any status is one. */
export type HttpFetch = (get: HttpGet) => Promise<HttpReply>;
