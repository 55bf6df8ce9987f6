/** A handler whose begin and end a test can wait for. */
import type { Handler } from "../ports/http.ts";
import { EventCount } from "./event-count.ts";

export class WatchedHandler {
  /** Requests that have come. The handler has done for each what it does before it first waits. */
  readonly begun: EventCount = new EventCount();
  readonly ended: EventCount = new EventCount();
  readonly handler: Handler;

  constructor(inner: Handler) {
    this.handler = async (request) => {
      const work = inner(request);
      this.begun.add();
      try {
        return await work;
      } finally {
        this.ended.add();
      }
    };
  }
}
