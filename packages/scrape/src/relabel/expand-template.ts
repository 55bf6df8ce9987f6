/**
 * `$1`, `$name` and `${name}` in a text, as Go's regexp package expands them: a name is as long as letters, digits and _ go (so `$1x` is
 * the group named "1x"; write `${1}x`), `$$` is one dollar, and a dollar that begins nothing stands for itself. Pure.
 */
const REFERENCE = /\$(?:\$|\{([\p{L}\p{Nd}_]+)\}|([\p{L}\p{Nd}_]+))/gu;

export function expandTemplate(template: string, groupOf: (group: string | number) => string): string {
  if (!template.includes("$")) return template;
  return template.replace(REFERENCE, (found, braced: string | undefined, bare: string | undefined) => {
    const name = braced ?? bare;
    if (name === undefined) return found.slice(1);
    return groupOf(/^\d{1,8}$/.test(name) ? Number(name) : name);
  });
}

/** True where `template` may give a label's name: letters, digits, _ and references to groups, no digit in front. */
export function isNameTemplate(template: string): boolean {
  return /^(?:[a-zA-Z_]|\$\{\w+\}|\$\w)(?:\w|\$\{\w+\}|\$\w)*$/.test(template);
}
