// biome-ignore lint/suspicious/noControlCharactersInRegex: finding control characters is its purpose
const CONTROL = /[\x00-\x1f\x7f-\x9f\u2028\u2029]/g;

/** A text from elsewhere as part of an error's one line: control characters are written as `\u001b`, and it is cut at `max` characters. Default 1,000. */
export function printable(text: string, max = 1_000): string {
  const shown = text
    .slice(0, max)
    .replace(CONTROL, (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return text.length > max || shown.length > max ? `${shown.slice(0, max)}…` : shown;
}
