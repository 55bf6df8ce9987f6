/** The selector of a query: the chosen service and what the reader typed after it, with or without braces. */

/**
 * `{service_name="checkout", pod="a"}` for `checkout` and `{pod="a"}`. The typed text is not validated here: the server's error says
 * better what is wrong.
 */
export function composeSelector(service: string, typed: string): string {
  const matchers = typed.trim().replace(/^\{/, "").replace(/\}$/, "").trim().replace(/,$/, "");
  const own = `service_name="${escapeValue(service)}"`;
  return matchers === "" ? `{${own}}` : `{${own}, ${matchers}}`;
}

function escapeValue(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
