/**
 * Splits TypeScript into tokens: words, strings and marks. It drops comments, numbers, regular expressions and the text of templates, and
 * keeps the code inside `${}`. That is enough to find imports and names without a compiler. It never throws.
 *
 * A quote without a closing quote on its line counts as a mark: it is an apostrophe in JSX text.
 */

/** @typedef {{ kind: "word" | "string" | "mark", text: string, line: number }} Token */

const WORD = /[\p{ID_Start}$_#][\p{ID_Continue}$\u200c\u200d]*/uy;
const NUMBER = /(?:0[xXbBoO][\da-fA-F_]+|(?:\d[\d_]*)?\.?\d[\d_]*(?:[eE][+-]?\d+)?)n?/y;
/** After these words a slash begins a regular expression; after any other word it divides. */
const BEFORE_EXPRESSION = new Set(["return", "typeof", "case", "in", "of", "delete", "void", "throw", "new", "instanceof", "yield", "await", "else", "do"]);

/** @returns {Token[]} */
export function tokenize(source) {
  const tokens = [];
  /** Depth of `{` inside each open `${`. */
  const templates = [];
  let line = 1;
  let at = 0;
  /** True where a slash would divide. */
  let endsValue = false;

  const push = (kind, text) => tokens.push({ kind, text, line });
  const skipTo = (end) => {
    for (let i = at; i < end; i++) if (source.charCodeAt(i) === 10) line++;
    at = end;
  };

  /** Skips the text of a template to its end or to the next `${`. */
  const readTemplate = () => {
    let i = at;
    while (i < source.length) {
      if (source[i] === "\\") i += 2;
      else if (source[i] === "`") {
        skipTo(i + 1);
        endsValue = true;
        return;
      } else if (source[i] === "$" && source[i + 1] === "{") {
        skipTo(i + 2);
        templates.push(0);
        endsValue = false;
        return;
      } else i++;
    }
    skipTo(source.length);
  };

  while (at < source.length) {
    const char = source[at];
    if (char === "\n") {
      line++;
      at++;
    } else if (char <= " " || char === "\u00a0" || char === "\ufeff") {
      at++;
    } else if (char === "/" && source[at + 1] === "/") {
      const end = source.indexOf("\n", at);
      at = end === -1 ? source.length : end;
    } else if (char === "/" && source[at + 1] === "*") {
      const end = source.indexOf("*/", at + 2);
      skipTo(end === -1 ? source.length : end + 2);
    } else if (char === "#" && source[at + 1] === "!" && at === 0) {
      const end = source.indexOf("\n", at);
      at = end === -1 ? source.length : end;
    } else if (char === '"' || char === "'") {
      const end = endOfString(source, at);
      if (end === undefined) {
        push("mark", char);
        at++;
      } else {
        push("string", source.slice(at + 1, end - 1));
        skipTo(end);
      }
      endsValue = true;
    } else if (char === "`") {
      push("mark", "`");
      at++;
      readTemplate();
    } else if (char === "}" && templates.at(-1) === 0) {
      templates.pop();
      at++;
      readTemplate();
    } else if (char === "/" && !endsValue && source[at - 1] !== "<" && endOfRegExp(source, at) !== undefined) {
      at = endOfRegExp(source, at);
      endsValue = true;
    } else {
      WORD.lastIndex = at;
      NUMBER.lastIndex = at;
      const word = WORD.exec(source);
      const number = word === null && (/\d/.test(char) || (char === "." && /\d/.test(source[at + 1] ?? ""))) ? NUMBER.exec(source) : null;
      if (word !== null) {
        push("word", word[0]);
        at += word[0].length;
        endsValue = !BEFORE_EXPRESSION.has(word[0]);
      } else if (number !== null && number[0] !== "") {
        at += number[0].length;
        endsValue = true;
      } else {
        if (templates.length > 0 && char === "{") templates[templates.length - 1]++;
        if (templates.length > 0 && char === "}") templates[templates.length - 1]--;
        if (char === "?" && source[at + 1] === "." && !/\d/.test(source[at + 2] ?? "")) {
          push("mark", ".");
          at += 2;
        } else {
          push("mark", char);
          at++;
        }
        endsValue = char === ")" || char === "]" || char === "}";
      }
    }
  }
  return tokens;
}

function endOfString(source, start) {
  for (let i = start + 1; i < source.length; i++) {
    if (source[i] === "\\") i++;
    else if (source[i] === source[start]) return i + 1;
    else if (source[i] === "\n") return undefined;
  }
  return undefined;
}

function endOfRegExp(source, start) {
  let isInClass = false;
  for (let i = start + 1; i < source.length; i++) {
    const char = source[i];
    if (char === "\n") return undefined;
    if (char === "\\") i++;
    else if (char === "[") isInClass = true;
    else if (char === "]") isInClass = false;
    else if (char === "/" && !isInClass) {
      let end = i + 1;
      while (/[a-z]/.test(source[end] ?? "")) end++;
      return end;
    }
  }
  return undefined;
}
