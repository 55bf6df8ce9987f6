/**
 * Recognises a text of folded stacks whose line ends were lost on the way: `curl -d @file` strips them, so that a file becomes one line, in
 * which each count runs into the stack that stood on the next line.
 *
 *   main;a 1\nmain;b 2\nmain;c 3      sent as      main;a 1main;b 2main;c 3
 *                                                        ^^^^^       ^^^^^
 * Read as it is, it would be one stack, seven frames high. Names may hold blanks and digits, so digits in the middle
 * prove nothing. A text counts as joined where one of these holds:
 *
 *   - the root of the first stack stands directly behind a count: no name of a program looks so;
 *   - the content type is that of a form, which curl sends with -d, and what a name may begin with stands directly behind a count. Many
 *     libraries call any body a form.
 *
 * `a1;b 3`, `array<char, 16>;x 2`, `at 0x1f;x 2` and, unless a form says it, `2nd pass;x 1` are names. A text that has a line end was not joined.
 */
export function hasJoinedLines(text: string, { isForm }: { readonly isForm: boolean }): boolean {
  if (text.includes("\n")) return false;
  if (isForm && NAME_BEHIND_COUNT.test(text)) return true;
  const root = rootOf(text);
  if (root === "") return false;
  for (let at = text.indexOf(root, 1); at >= 0; at = text.indexOf(root, at + root.length)) if (isBehindCount(text, at)) return true;
  return false;
}

/** No profiler counts 0, and no name begins with what ends or joins others. */
const NAME_BEHIND_COUNT = /[ \t][1-9][0-9]*[^ \t\r0-9;,.:)\]}>"'`*&+-]/;

/** The first frame of the first stack with its ";"; "" where it has no second. */
function rootOf(text: string): string {
  return text.slice(0, text.indexOf(";") + 1);
}

/** Whether digits, and before them a blank or a tab, end at `end`. */
function isBehindCount(text: string, end: number): boolean {
  let at = end;
  while (at > 0 && isDigit(text.charCodeAt(at - 1))) at--;
  if (at === end || at === 0) return false;
  const before = text.charCodeAt(at - 1);
  return before === 0x20 || before === 0x09;
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}
