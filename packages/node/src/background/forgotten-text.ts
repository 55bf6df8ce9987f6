/** The text in a `forgotten` mark, for people who read the bucket: no program reads it. */
export function forgottenText(because: string, nowMs: number): Uint8Array {
  return Buffer.from(`${JSON.stringify({ mark: "forgotten", because, at: new Date(nowMs).toISOString() })}\n`, "utf8");
}
