/** Does two works at the same time. Where one fails the other is aborted: nobody waits for it, and it would go on reading and hold its plan. */
export async function both<A, B>(first: (signal: AbortSignal) => Promise<A>, second: (signal: AbortSignal) => Promise<B>, signal: AbortSignal): Promise<readonly [A, B]> {
  const failed = new AbortController();
  const own = AbortSignal.any([signal, failed.signal]);
  try {
    return await Promise.all([first(own), second(own)]);
  } catch (error) {
    failed.abort(error);
    throw error;
  }
}
