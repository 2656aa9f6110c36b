import { UNSAFE } from "../../core/values/characters.ts";

const MAX_LINE = 2_000;
const TAB_COLUMNS = 4;

// ECMA-48: CSI, then the strings that end in ST or BEL (OSC, DCS, SOS, PM, APC), then two- and three-byte escapes.
const ESCAPE_SEQUENCE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: finding control characters is its purpose
  /(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90\x98\x9c-\x9f\n]*(?:\x07|\x1b\\|\x9c)|\x1b[ -/]*[0-Z\\`-~]/g;
const NEEDS_WORK = /[^\x20-\x7e]/;

/**
 * Make one line of foreign text safe to show: remove escape sequences, make other control characters and those that
 * reorder or hide text visible (`^G`, `<202e>`), turn tabs into blanks, and bound the length.
 */
export function safeLine(text: string): string {
  return safeWhole(boundedLine(text));
}

/** Make a line safe like {@link safeLine}, without a bound on its length. */
export function safeWhole(text: string): string {
  return NEEDS_WORK.test(text) ? showControls(text.replace(ESCAPE_SEQUENCE, "")) : text;
}

/** Make an error's message, or a name in it, safe to show. Control characters are shown, not removed, so that the name can be found. */
export function safeError(text: string): string {
  const bounded = boundedLine(text);
  return NEEDS_WORK.test(bounded) ? showControls(bounded) : bounded;
}

/** Return the lines of an error's message, each made safe by {@link safeError}. */
export function safeErrorLines(text: string): readonly string[] {
  return text
    .replace(/\r?\n$/, "")
    .split(/\r?\n/)
    .map(safeError);
}

function boundedLine(text: string): string {
  return text.length > MAX_LINE ? `${text.slice(0, MAX_LINE)} [${text.length - MAX_LINE} more]` : text;
}

function showControls(text: string): string {
  return text.replaceAll("\t", " ".repeat(TAB_COLUMNS)).replace(UNSAFE, visible);
}

/** Show an ASCII control as terminals echo it, `^G`, and any other character by its number, `<202e>`. */
function visible(character: string): string {
  const codePoint = character.codePointAt(0) ?? 0;
  return codePoint < 0x80
    ? `^${String.fromCharCode(codePoint ^ 0x40)}`
    : `<${codePoint.toString(16).padStart(4, "0")}>`;
}

/** Return the lines of a text, each made safe to show; a line rewritten with carriage returns keeps its last state. */
export function safeLines(text: string): readonly string[] {
  return text
    .replace(/\r?\n$/, "")
    .split(/\r?\n/)
    .map((each) => safeLine(lastRewrite(each)));
}

function lastRewrite(text: string): string {
  const trimmed = text.endsWith("\r") ? text.slice(0, -1) : text;
  return trimmed.slice(trimmed.lastIndexOf("\r") + 1);
}
