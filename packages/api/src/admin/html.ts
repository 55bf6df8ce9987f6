/**
 * Pages that the server writes itself, for operators: they work where the web page cannot be loaded, and hold no script.
 *
 * What must stay true: every text passes `escapeHtml`, since names of members come from other machines. The content security policy lets such a page
 * run nothing, load nothing and send nothing.
 */
import { hash } from "node:crypto";
import type { ApiReply } from "../ports/http.ts";

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}

/** `body` is HTML. The browser asks again every `refreshSeconds`. */
export function htmlPage(title: string, body: string, { refreshSeconds }: { readonly refreshSeconds: number }): ApiReply {
  const links = PAGES.map(({ path, name }) => `<a href="${path}">${name}</a>`).join(" ");
  const html = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta http-equiv="refresh" content="${refreshSeconds}">
<title>${escapeHtml(title)} - Pyromesh</title><style>${STYLE}</style></head>
<body><nav>${links}</nav><h1>${escapeHtml(title)}</h1>
${body}
</body></html>
`;
  return { status: 200, headers: { "content-type": "text/html; charset=utf-8", "cache-control": "no-store", "content-security-policy": CONTENT_SECURITY_POLICY, "referrer-policy": "no-referrer", "x-frame-options": "DENY" }, body: html };
}

/** A table whose cells are HTML. `isWide`: its texts are long: they are broken where they must be, and on a narrow screen the cells of a row stand below each other. */
export function htmlTable(head: readonly string[], rows: readonly (readonly string[])[], { isWide = false }: { readonly isWide?: boolean } = {}): string {
  const line = (cells: readonly string[], tag: string): string => `<tr>${cells.map((cell) => `<${tag}>${cell}</${tag}>`).join("")}</tr>`;
  return `<table${isWide ? ' class="wide"' : ""}><thead>${line(head.map(escapeHtml), "th")}</thead><tbody>${rows.map((row) => line(row, "td")).join("\n")}</tbody></table>`;
}

/** Relative, so that they work below a prefix. */
const PAGES = [
  { path: "./", name: "Profiles" },
  { path: "ring", name: "Ring" },
  { path: "members", name: "Members" },
  { path: "memberlist", name: "Memberlist" },
  { path: "targets", name: "Targets" },
];

const STYLE =
  ":root{color-scheme:light dark}body{font:14px/1.45 system-ui,sans-serif;margin:1.5rem auto;max-width:76rem;padding:0 1rem}" +
  "nav a{margin-right:1rem}h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:1.6rem}" +
  "table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.25rem .6rem;border-bottom:1px solid #8884;vertical-align:top}" +
  "code,.num{font-family:ui-monospace,monospace;font-variant-numeric:tabular-nums}" +
  ".good{color:#18794e}.bad{color:#cd2b31;font-weight:600}.dim{opacity:.65}.ring{display:flex;gap:2rem;flex-wrap:wrap;align-items:center}.ring>div{flex:1;min-width:18rem}" +
  ".wide td{overflow-wrap:anywhere}.line{white-space:nowrap}.wide td:first-child{min-width:7rem}" +
  "@media(max-width:48rem){.wide thead{display:none}.wide tr{display:block;padding:.5rem 0;border-bottom:1px solid #8884}.wide td{display:block;padding:.1rem 0;border:0}.wide td:empty{display:none}}" +
  "@media(prefers-color-scheme:dark){.good{color:#4cc38a}.bad{color:#ff8589}a{color:#7cb9ff}}";

const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${hash("sha256", STYLE, "base64")}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");
