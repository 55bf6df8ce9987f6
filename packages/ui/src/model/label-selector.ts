/** The selector sent to the querier: the picked service and, after it, what the reader typed, braces or not. */

/** `{service_name="checkout", pod="a"}` of `checkout` and `{pod="a"}`. What was typed is not checked here: the server says better what is wrong. */
export function composeSelector(service: string, typed: string): string {
  const matchers = typed.trim().replace(/^\{/, "").replace(/\}$/, "").trim().replace(/,$/, "");
  const own = `service_name="${escapeValue(service)}"`;
  return matchers === "" ? `{${own}}` : `{${own}, ${matchers}}`;
}

function escapeValue(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
