import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { IncomingMessage, RequestListener, Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { TLSSocket } from "node:tls";
import { expect } from "chai";
import { scrapeConfigs } from "../config/read-scrape-configs.ts";
import { nodeHttp } from "./node-http.ts";
import { readBody } from "./read-body.ts";

const files: Readonly<Record<string, string>> = { "/token": "secret\n", "/two": "a\nb\n" };
const fetch = nodeHttp({ readFile: async (file) => files[file] ?? Promise.reject(new Error("no such file")) });
const settingsOf = (http: object) => scrapeConfigs([{ job_name: "a", static_configs: [{ targets: [] }], ...http }])[0]!.http;

describe("requests of a real node", () => {
  const servers: Server[] = [];
  const received: IncomingMessage[] = [];

  async function serve(listener: RequestListener): Promise<string> {
    const server = createServer((request, response) => {
      received.push(request);
      listener(request, response);
    });
    servers.push(server);
    await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  const ask = (url: string, http: object = {}, signal: AbortSignal = new AbortController().signal) => fetch({ url, headers: { accept: "x/y" }, settings: settingsOf(http), signal });

  afterEach(() => {
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      server.close();
    }
    received.length = 0;
  });

  it("carry headers and credentials, which may stand in a file that is read each time", async () => {
    const url = await serve((_, response) => void response.end("ok"));
    const reply = await ask(`${url}/x?a=b`, { authorization: { credentials_file: "/token" } });
    expect([reply.status, Buffer.from(await readBody(reply, 10)).toString()]).to.deep.equal([200, "ok"]);
    expect([received[0]!.url, received[0]!.headers.accept, received[0]!.headers.authorization]).to.deep.equal(["/x?a=b", "x/y", "Bearer secret"]);
    await ask(url, { basic_auth: { username: "u", password: "p" } });
    expect(received[1]!.headers.authorization).to.equal(`Basic ${Buffer.from("u:p").toString("base64")}`);
  });

  it("say which file of a secret cannot be used", async () => {
    for (const [file, reason] of [["/gone", "/gone cannot be read: no such file"], ["/two", "/two has several lines"]] as const) {
      const failed = await ask("http://127.0.0.1:1/", { authorization: { credentials_file: file } }).catch((thrown: unknown) => thrown);
      expect(String(failed)).to.include(reason);
    }
  });

  it("follow a redirect on the same host, and none to another, nor where that is switched off", async () => {
    const other = await serve((_, response) => void response.end("other"));
    const url = await serve((request, response) => {
      if (request.url === "/far") response.writeHead(302, { location: `${other}/` }).end();
      else if (request.url === "/near") response.writeHead(302, { location: "/there" }).end();
      else if (request.url === "/round") response.writeHead(302, { location: "/round" }).end();
      else response.end("there");
    });
    expect(Buffer.from(await readBody(await ask(`${url}/near`), 10)).toString()).to.equal("there");
    expect(String(await ask(`${url}/far`).catch((thrown: unknown) => thrown))).to.include("another scheme, host or port");
    expect(String(await ask(`${url}/round`).catch((thrown: unknown) => thrown))).to.include("more than 5 times");
    expect((await ask(`${url}/near`, { follow_redirects: false })).status).to.equal(302);
    expect(received.every(({ url: path }) => path !== "/")).to.equal(true);
  });

  it("end with their signal, while they wait and while the body is read", async () => {
    const url = await serve((request, response) => {
      if (request.url === "/slow") response.write("a");
    });
    const waiting = new AbortController();
    const asked = ask(url, {}, waiting.signal).catch((thrown: unknown) => thrown);
    waiting.abort();
    expect((await asked) as Error).to.have.property("name", "AbortError");
    const reading = new AbortController();
    const reply = await ask(`${url}/slow`, {}, reading.signal);
    const read = readBody(reply, 10).catch((thrown: unknown) => thrown);
    reading.abort();
    expect(await read).to.be.instanceOf(Error);
  });

  it("say in one line what to check where no reply came", async () => {
    const closing = await serve((request) => void request.socket.destroy());
    const cases = [
      ["http://127.0.0.1:1/", "connect ECONNREFUSED 127.0.0.1:1: check that the program runs and listens there"],
      [closing.replace("http:", "https:"), "the port does not speak TLS as it is asked to: check the scheme and the port"],
      [closing, "socket hang up: the connection was closed before a reply came; check that the port speaks HTTP, and the scheme"],
    ] as const;
    for (const [url, message] of cases) {
      const failed = await ask(url).catch((thrown: unknown) => thrown);
      expect((failed as Error).message, url).to.equal(message);
    }
  });

  it("end where a body is larger than it may be, packed or not", async () => {
    const { gzipSync } = await import("node:zlib");
    const packed = gzipSync(Buffer.alloc(10_000_000));
    const url = await serve((request, response) => {
      if (request.url === "/gzip") response.writeHead(200, { "content-encoding": "gzip" }).end(packed);
      else response.end(Buffer.alloc(2000));
    });
    for (const path of ["/", "/gzip"]) {
      const failed = await readBody(await ask(url + path), 1000).catch((thrown: unknown) => thrown);
      expect(String(failed), path).to.include("more than 1000 bytes");
    }
  });

  it("refuse a body that ends too early, and one that is no gzip", async () => {
    const url = await serve((request, response) => {
      if (request.url === "/noise") response.writeHead(200, { "content-encoding": "gzip" }).end("noise");
      else {
        response.writeHead(200, { "content-length": "100" });
        response.write("short", () => response.destroy());
      }
    });
    expect(String(await readBody(await ask(`${url}/noise`), 1000).catch((thrown: unknown) => thrown))).to.match(/incorrect header check/);
    expect(await readBody(await ask(`${url}/short`), 1000).catch((thrown: unknown) => thrown)).to.be.instanceOf(Error);
  });

  it("check the server's certificate by ca_file and server_name, and show one of their own", async () => {
    const folder = new URL("../../testdata/tls/", import.meta.url).pathname;
    const read = (name: string): string => readFileSync(folder + name, "utf8");
    const server = createTlsServer({ key: read("server.key"), cert: read("server.pem"), ca: read("ca.pem"), requestCert: true, rejectUnauthorized: false }, (request, response) => {
      response.end(String((request.socket as TLSSocket).authorized));
    });
    servers.push(server);
    await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
    const onDisk = nodeHttp({ readFile: async (file) => readFileSync(file, "utf8") });
    const outcome = async (tls_config: object): Promise<string> => {
      try {
        const reply = await onDisk({ url: `https://127.0.0.1:${(server.address() as AddressInfo).port}/`, headers: {}, settings: settingsOf({ tls_config }), signal: new AbortController().signal });
        return Buffer.from(await readBody(reply, 10)).toString();
      } catch (thrown) {
        return String((thrown as { readonly code?: unknown }).code);
      }
    };
    const [ca_file, server_name] = [`${folder}ca.pem`, "app.example.org"];
    expect(await outcome({ server_name })).to.be.oneOf(["SELF_SIGNED_CERT_IN_CHAIN", "UNABLE_TO_VERIFY_LEAF_SIGNATURE"]);
    expect(await outcome({ ca_file })).to.equal("ERR_TLS_CERT_ALTNAME_INVALID");
    expect(await outcome({ ca_file, server_name })).to.equal("false");
    expect(await outcome({ insecure_skip_verify: true })).to.equal("false");
    expect(await outcome({ ca_file, server_name, cert_file: `${folder}client.pem`, key_file: `${folder}client.key` })).to.equal("true");
  });
});
