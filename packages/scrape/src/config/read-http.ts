/** Reads the settings of HTTP requests, which stand directly in a job and in the discoveries that ask over HTTP. */
import type { AuthorizationSettings, HttpSettings, Secret, TlsSettings } from "./scrape-config.ts";
import type { GroupReader } from "./group-reader.ts";

export const HTTP_HINTS: Readonly<Record<string, string>> = {
  bearer_token: "write authorization: {credentials: ...}",
  bearer_token_file: "write authorization: {credentials_file: ...}",
  oauth2: "put a proxy that fetches tokens in front, or write authorization with a credentials_file that is renewed",
  proxy_url: "requests go directly: take it out",
  proxy_from_environment: "requests go directly: take it out",
  enable_http2: "requests are HTTP/1.1: take it out",
};

export function readHttpSettings(group: GroupReader): HttpSettings {
  return { authorization: readAuthorization(group), tls: readTls(group.group("tls_config")), isRedirectFollowed: group.boolean("follow_redirects", true) };
}

/** Whether any of these settings is written. */
export function hasHttpSettings(group: GroupReader): boolean {
  return ["authorization", "basic_auth", "tls_config", "follow_redirects"].map((key) => group.has(key)).includes(true);
}

function readAuthorization(parent: GroupReader): AuthorizationSettings | undefined {
  const isHeader = parent.has("authorization");
  const isBasic = parent.has("basic_auth");
  if (isHeader && isBasic) parent.refuse("basic_auth", "authorization and basic_auth are both written: a request carries one of them");
  return isHeader ? readHeader(parent.group("authorization")) : isBasic ? readBasic(parent.group("basic_auth")) : undefined;
}

function readHeader(group: GroupReader): AuthorizationSettings {
  const type = group.text("type", "Bearer");
  const credentials = readSecret(group, "credentials");
  group.finish();
  if (type.toLowerCase() === "basic") group.refuse("type", "the type Basic is made of a name and a password: write basic_auth");
  if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(type)) group.refuse("type", `${JSON.stringify(type)} is not a type of authorization: write it as Bearer`);
  return { kind: "header", type, credentials };
}

function readBasic(group: GroupReader): AuthorizationSettings {
  const username = group.neededText("username", "pyromesh");
  const password = readSecret(group, "password");
  group.finish();
  if (username.includes(":")) group.refuse("username", "a name with a colon cannot be told from its password");
  return { kind: "basic", username, password };
}

function readSecret(group: GroupReader, key: string): Secret {
  const text = group.optionalText(key);
  const file = group.optionalText(`${key}_file`);
  if (text !== undefined && file !== undefined) group.refuse(`${key}_file`, `${key} and ${key}_file are both written: keep one`);
  else if (text === undefined && file === undefined) group.refuse(undefined, `neither ${key} nor ${key}_file is written`);
  if (text !== undefined && /[\r\n]/.test(text)) group.refuse(key, `${key} has a line break, which no header can carry`);
  return file === undefined ? { kind: "text", text: text ?? "" } : { kind: "file", file };
}

function readTls(group: GroupReader): TlsSettings {
  const tls: TlsSettings = {
    caFile: group.optionalText("ca_file"),
    certFile: group.optionalText("cert_file"),
    keyFile: group.optionalText("key_file"),
    serverName: group.optionalText("server_name"),
    isInsecure: group.boolean("insecure_skip_verify", false),
  };
  group.finish({ ca: "write ca_file", cert: "write cert_file", key: "write key_file" });
  if ((tls.certFile === undefined) !== (tls.keyFile === undefined)) group.refuse(undefined, "cert_file and key_file belong together: write both or neither");
  return tls;
}
