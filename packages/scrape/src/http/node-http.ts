/**
 * Requests of a real node, over Node.js' own HTTP: one connection a request, since a program is asked every few seconds at most.
 *
 * Secrets and certificates are read from their files at each request. A redirect is followed on the same scheme, host and port only, so that
 * credentials reach nobody but whom they were written for.
 */
import { request as httpRequest } from "node:http";
import type { IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import type { RequestOptions } from "node:https";
import { messageOf } from "@pyromesh/base";
import type { AuthorizationSettings, HttpSettings, Secret } from "../config/scrape-config.ts";
import { explainedFault } from "./explained-fault.ts";
import type { HttpFetch, HttpGet, HttpReply } from "./http-get.ts";

const REDIRECTS_MAX = 5;
/** Of one secret or certificate. */
const FILE_LENGTH_MAX = 2 ** 20;

export function nodeHttp({ readFile }: { readonly readFile: (file: string) => Promise<string> }): HttpFetch {
  return async (get) => {
    let url = new URL(get.url);
    for (let redirectCount = 0; ; redirectCount++) {
      const reply = await ask(url, get, readFile);
      const location = reply.headers["location"];
      if (!get.settings.isRedirectFollowed || ![301, 302, 303, 307, 308].includes(reply.statusCode ?? 0) || location === undefined) return replyOf(reply);
      reply.destroy();
      if (redirectCount === REDIRECTS_MAX) throw new Error(`the server redirects more than ${REDIRECTS_MAX} times`);
      const next = URL.parse(location, url.href);
      if (next === null || next.origin !== url.origin) throw new Error("the server redirects to another scheme, host or port, which is not followed: write that address as the target");
      url = next;
    }
  };
}

async function ask(url: URL, { headers, settings, signal }: HttpGet, readFile: (file: string) => Promise<string>): Promise<IncomingMessage> {
  const authorization = settings.authorization === undefined ? undefined : await headerOf(settings.authorization, readFile);
  const tls = url.protocol === "https:" ? await tlsOptions(settings, readFile) : {};
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const options: RequestOptions = {
      method: "GET",
      headers: { ...headers, "user-agent": "pyromesh", ...(authorization === undefined ? {} : { authorization }) },
      agent: false,
      signal,
      ...tls,
    };
    const request = url.protocol === "https:" ? httpsRequest(url, options, resolve) : httpRequest(url, options, resolve);
    request.on("error", (error) => reject(explainedFault(error)));
    request.end();
  });
}

/** The body ends the connection, at its end or before it. */
function replyOf(reply: IncomingMessage): HttpReply {
  const headers = Object.entries(reply.headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(", ") : (value ?? "")]);
  return { status: reply.statusCode ?? 0, headers: Object.fromEntries(headers) as Record<string, string>, body: reply };
}

async function headerOf(settings: AuthorizationSettings, readFile: (file: string) => Promise<string>): Promise<string> {
  if (settings.kind === "header") return `${settings.type} ${await secretOf(settings.credentials, readFile)}`;
  return `Basic ${Buffer.from(`${settings.username}:${await secretOf(settings.password, readFile)}`).toString("base64")}`;
}

async function secretOf(secret: Secret, readFile: (file: string) => Promise<string>): Promise<string> {
  if (secret.kind === "text") return secret.text;
  const text = (await readBounded(secret.file, readFile)).trim();
  if (/[\r\n]/.test(text)) throw new Error(`${secret.file} has several lines: a secret is one`);
  return text;
}

async function tlsOptions({ tls }: HttpSettings, readFile: (file: string) => Promise<string>): Promise<RequestOptions> {
  const read = (file: string | undefined): Promise<string | undefined> => (file === undefined ? Promise.resolve(undefined) : readBounded(file, readFile));
  const [ca, cert, key] = await Promise.all([read(tls.caFile), read(tls.certFile), read(tls.keyFile)]);
  return {
    rejectUnauthorized: !tls.isInsecure,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(tls.serverName === undefined ? {} : { servername: tls.serverName }),
  };
}

async function readBounded(file: string, readFile: (file: string) => Promise<string>): Promise<string> {
  const text = await readFile(file).catch((thrown: unknown) => {
    throw new Error(`${file} cannot be read: ${messageOf(thrown)}`, { cause: thrown });
  });
  if (text.length > FILE_LENGTH_MAX) throw new Error(`${file} is too large for a secret or a certificate`);
  return text;
}
