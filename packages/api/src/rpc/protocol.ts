/** An adapter between a protocol of RPCs and a handler of Connect's unary calls. It has no state. */
import type { ApiReply, ApiRequest } from "../ports/http.ts";

export interface RpcProtocol {
  /** The status of a reply lies in trailers. It has calls of several messages, too, over HTTP/2. */
  readonly hasTrailers: boolean;
  /** The request as a handler of Connect sees it. Throws what the protocol refuses before the handler runs. */
  request(request: ApiRequest): ApiRequest;
  /** The reply of a handler, or of the server, as the protocol sends it. */
  reply(reply: ApiReply): ApiReply;
}
