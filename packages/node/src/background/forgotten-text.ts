/** What stands in a `forgotten` mark, for people. */
export function forgottenText(because: string, nowMs: number): Uint8Array {
  return Buffer.from(`${JSON.stringify({ mark: "forgotten", because, at: new Date(nowMs).toISOString() })}\n`, "utf8");
}
