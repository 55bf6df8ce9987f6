/**
 * An HTTP proxy in front of an S3 server, which misbehaves as it is told: it refuses, is slow, does what it was asked and says that it failed,
 * or does not answer at all. It forwards each request as it came, `Host` included, so that signatures stay good.
 */
import { createServer, request as httpRequest } from "node:http";

/** Resolves with { endpoint, set, stop }. `set(fault)`: { kind: "refuse" | "slow" | "put-unsure" | "silent", share, delayMs }; undefined: none. */
export async function openBucketProxy(endpoint, { random = Math.random } = {}) {
  const { hostname, port } = new URL(endpoint);
  let fault;
  const server = createServer((req, res) => {
    const own = fault !== undefined && random() < (fault.share ?? 1) ? fault : undefined;
    if (own?.kind === "silent") return;
    if (own?.kind === "refuse") {
      req.resume();
      res.writeHead(503, { "content-type": "application/xml", "retry-after": "1" }).end("<Error><Code>SlowDown</Code></Error>");
      return;
    }
    const forward = () => {
      const sent = httpRequest({ host: hostname, port, method: req.method, path: req.url, headers: req.headers }, (reply) => {
        if (own?.kind === "put-unsure" && req.method === "PUT") {
          reply.resume();
          reply.on("end", () => res.writeHead(500).end("<Error><Code>InternalError</Code></Error>"));
          return;
        }
        res.writeHead(reply.statusCode, reply.headers);
        reply.pipe(res);
      });
      sent.on("error", () => res.destroy());
      req.pipe(sent);
    };
    if (own?.kind === "slow") setTimeout(forward, own.delayMs ?? 500);
    else forward();
  });
  await new Promise((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
  return {
    endpoint: `http://127.0.0.1:${server.address().port}`,
    set: (next) => (fault = next),
    stop: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(resolve);
      }),
  };
}
