/**
 * How a push is refused: JavaScript throws an error that says why in words (src/pprof/pprof-kernel.ts), and nothing here goes on.
 * `reason` is a code of gen/layout.ts; the numbers are its facts.
 */

@external("host", "refuse")
declare function throwRefusal(reason: u32, first: u32, second: u32, third: u32): void;

export function refuse(reason: u32, first: u32 = 0, second: u32 = 0, third: u32 = 0): void {
  throwRefusal(reason, first, second, third);
  unreachable();
}
