import { type Edited, lineEnding, lineText, splitLines, withFinalNewline } from "./edit-file.ts";

// The text of INI files: sections, options, and the lines to put in and take out.

/** An option that a section has, with one or several values. */
interface WantedOption {
  readonly option: string;
  readonly value?: string | undefined;
  readonly values?: readonly string[] | undefined;
}

/** The parameters of an edit, as those of the action `ini_file`. */
export interface IniEdit {
  readonly section?: string | undefined;
  readonly section_has_values?: readonly WantedOption[] | undefined;
  readonly option?: string | undefined;
  /** Empty for an option without a value. */
  readonly values: readonly string[];
  readonly state: "present" | "absent";
  readonly exclusive: boolean;
  readonly no_extra_spaces: boolean;
  readonly ignore_spaces: boolean;
  readonly allow_no_value: boolean;
  readonly modify_inactive_option: boolean;
}

/** The lines of a section: those from `start`, which is behind the header, to before `end`. */
interface Section {
  readonly start: number;
  readonly end: number;
}

/** A line of an option. */
interface OptionLine {
  readonly index: number;
  /** False for one that is a comment. */
  readonly active: boolean;
  /** Null without `=`. */
  readonly value: string | null;
}

const BYTE_ORDER_MARK = /^\ufeff/;

/** Edit the text of an INI file; the message is Ansible's. */
export function editIni(text: string, edit: IniEdit): Edited {
  const lines = splitLines(withFinalNewline(text.replace(BYTE_ORDER_MARK, "")));
  const draft: Draft = { lines, given: edit, ending: lineEnding(lines[0] ?? "") || "\n" };
  const message = editDraft(draft);
  const after = lines.join("");
  // A mark alone is no reason to write the file.
  return { text: after === text.replace(BYTE_ORDER_MARK, "") ? text : after, message };
}

function escapeRegex(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

function wantedValues({ value, values }: WantedOption): readonly string[] {
  return values ?? (value === undefined ? [] : [value]);
}

const HEADER = /^\[/;
const BLANK_OR_COMMENT = /^\s*(?:[#;].*)?$/;

/** The lines while they are edited. */
interface Draft {
  readonly lines: string[];
  readonly given: IniEdit;
  /** The line ending of new lines. */
  readonly ending: string;
}

function editDraft(draft: Draft): string {
  const { section: name, option, state } = draft.given;
  const section = findSection(draft);
  if (state === "absent") {
    if (section === null) return "OK";
    if (option !== undefined) return removeOption(draft, section, option);
    return name === undefined ? "OK" : removeSection(draft, section);
  }
  if (section === null) return addSection(draft, name!);
  return option === undefined ? "OK" : putOption(draft, section, option);
}

/** Find the section; null without one. Lines before the first header are a section without a name, which always exists. */
function findSection(draft: Draft): Section | null {
  const { section: name, section_has_values: required = [] } = draft.given;
  const endFrom = (start: number): number => {
    const next = draft.lines.findIndex((line, index) => index >= start && HEADER.test(line));
    return next === -1 ? draft.lines.length : next;
  };
  if (name === undefined) return { start: 0, end: endFrom(0) };
  const header = new RegExp(`^\\[\\s*${escapeRegex(name.trim())}\\s*\\]`);
  for (const [index, line] of draft.lines.entries()) {
    if (!header.test(line)) continue;
    const section = { start: index + 1, end: endFrom(index + 1) };
    if (required.every((wanted) => hasValues(draft, section, wanted))) return section;
  }
  return null;
}

function hasValues(draft: Draft, section: Section, wanted: WantedOption): boolean {
  const active = optionLines(draft, section, wanted.option).filter((line) => line.active);
  const values = wantedValues(wanted);
  if (values.length === 0) return active.length > 0;
  return values.every((value) => active.some((line) => line.value === value));
}

function optionLines(draft: Draft, { start, end }: Section, option: string): readonly OptionLine[] {
  const form = new RegExp(`^[ \\t]*(?:([#;])[ \\t]*)?${escapeRegex(option)}[ \\t]*(?:=(.*))?$`);
  return draft.lines.slice(start, end).flatMap((line, offset) => {
    const match = form.exec(lineText(line));
    if (match === null) return [];
    return [{ index: start + offset, active: match[1] === undefined, value: match[2]?.trim() ?? null }];
  });
}

function assignment(draft: Draft, option: string, value: string | null): string {
  const equals = draft.given.no_extra_spaces ? "=" : " = ";
  return value === null ? option : `${option}${equals}${value}`;
}

/** The values to have, each once; null stands for the option alone. */
function valuesToHave(draft: Draft): (string | null)[] {
  const { values, allow_no_value } = draft.given;
  if (values.length > 0) return [...new Set(values)];
  return allow_no_value ? [null] : [];
}

function addSection(draft: Draft, name: string): string {
  const { option, section_has_values: required = [] } = draft.given;
  if (draft.lines.length === 0) draft.lines.push(draft.ending);
  draft.lines.push(`[${name}]${draft.ending}`);
  const add = (key: string, value: string | null): void => {
    draft.lines.push(`${assignment(draft, key, value)}${draft.ending}`);
  };
  for (const wanted of required) {
    const values = wantedValues(wanted);
    for (const value of values.length === 0 ? [null] : values) add(wanted.option, value);
  }
  if (option !== undefined) {
    const given = required.filter((wanted) => wanted.option === option).flatMap(wantedValues);
    for (const value of valuesToHave(draft)) if (value === null || !given.includes(value)) add(option, value);
  }
  return option === undefined && required.length === 0 ? "only section added" : "section and option added";
}

function removeSection(draft: Draft, { start, end }: Section): string {
  draft.lines.splice(start - 1, end - start + 1);
  return "section removed";
}

function removeOption(draft: Draft, section: Section, option: string): string {
  const wanted = valuesToHave(draft);
  const gone = optionLines(draft, section, option).filter(
    ({ active, value }) => active && (draft.given.exclusive || wanted.includes(value)),
  );
  for (const { index } of gone.toReversed()) draft.lines.splice(index, 1);
  return gone.length === 0 ? "OK" : "option changed";
}

function putOption(draft: Draft, section: Section, option: string): string {
  const { exclusive, modify_inactive_option } = draft.given;
  const rest = optionLines(draft, section, option).filter(({ active }) => active || modify_inactive_option);
  const missing = new Set(valuesToHave(draft));
  let message = "OK";
  const put = (line: OptionLine, value: string | null): void => {
    if (replaceLine(draft, line, option, value)) message = "option changed";
    missing.delete(value);
    rest.splice(rest.indexOf(line), 1);
  };
  // Lines with a wanted value keep their place, the active ones before comments.
  for (const active of [true, false])
    for (const line of [...rest])
      if (line.active === active && missing.has(line.value)) put(line, line.value);
  if (exclusive) {
    for (const value of [...missing]) {
      const [line] = rest;
      if (line === undefined) break;
      put(line, value);
    }
  }
  const added = [...missing].map((value) => `${assignment(draft, option, value)}${draft.ending}`);
  if (added.length > 0) message = "option added";
  draft.lines.splice(lastOption(draft, section), 0, ...added);
  if (exclusive) {
    const extra = rest.filter(({ active }) => active);
    if (extra.length > 0 && message === "OK") message = "option changed";
    // Lines are only added behind these.
    for (const { index } of extra.toReversed()) draft.lines.splice(index, 1);
  }
  return message;
}

/** Write a line of the option; false when it is as wanted. */
function replaceLine(
  draft: Draft,
  { index, active, value: current }: OptionLine,
  option: string,
  value: string | null,
): boolean {
  const line = draft.lines[index]!;
  if (draft.given.ignore_spaces && active && current === value) return false;
  const wanted = `${assignment(draft, option, value)}${lineEnding(line) || draft.ending}`;
  if (line === wanted) return false;
  draft.lines[index] = wanted;
  return true;
}

/** Return the place behind the last line of a section that is neither blank nor a comment. */
function lastOption(draft: Draft, { start, end }: Section): number {
  for (let index = end; index > start; index--)
    if (!BLANK_OR_COMMENT.test(lineText(draft.lines[index - 1]!))) return index;
  return start;
}
