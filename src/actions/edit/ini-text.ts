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
  const writer = new IniWriter(lines, edit);
  const message = writer.edit();
  const after = writer.lines.join("");
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

class IniWriter {
  readonly lines: string[];
  private readonly given: IniEdit;
  private readonly ending: string;

  constructor(lines: string[], edit: IniEdit) {
    this.lines = lines;
    this.given = edit;
    this.ending = lineEnding(lines[0] ?? "") || "\n";
  }

  edit(): string {
    const { section: name, option, state } = this.given;
    const section = this.find();
    if (state === "absent") {
      if (section === null) return "OK";
      if (option !== undefined) return this.removeOption(section, option);
      return name === undefined ? "OK" : this.removeSection(section);
    }
    if (section === null) return this.addSection(name!);
    return option === undefined ? "OK" : this.putOption(section, option);
  }

  /** Find the section; null without one. Lines before the first header are a section without a name, which always exists. */
  private find(): Section | null {
    const { section: name, section_has_values: required = [] } = this.given;
    const endFrom = (start: number): number => {
      const next = this.lines.findIndex((line, index) => index >= start && HEADER.test(line));
      return next === -1 ? this.lines.length : next;
    };
    if (name === undefined) return { start: 0, end: endFrom(0) };
    const header = new RegExp(`^\\[\\s*${escapeRegex(name.trim())}\\s*\\]`);
    for (const [index, line] of this.lines.entries()) {
      if (!header.test(line)) continue;
      const section = { start: index + 1, end: endFrom(index + 1) };
      if (required.every((wanted) => this.has(section, wanted))) return section;
    }
    return null;
  }

  private has(section: Section, wanted: WantedOption): boolean {
    const active = this.optionLines(section, wanted.option).filter((line) => line.active);
    const values = wantedValues(wanted);
    if (values.length === 0) return active.length > 0;
    return values.every((value) => active.some((line) => line.value === value));
  }

  private optionLines({ start, end }: Section, option: string): readonly OptionLine[] {
    const form = new RegExp(`^[ \\t]*([#;]?)[ \\t]*${escapeRegex(option)}[ \\t]*(?:=(.*))?$`);
    return this.lines.slice(start, end).flatMap((line, offset) => {
      const match = form.exec(lineText(line));
      if (match === null) return [];
      return [{ index: start + offset, active: match[1] === "", value: match[2]?.trim() ?? null }];
    });
  }

  private assignment(option: string, value: string | null): string {
    const equals = this.given.no_extra_spaces ? "=" : " = ";
    return value === null ? option : `${option}${equals}${value}`;
  }

  /** The values to have, each once; null stands for the option alone. */
  private wanted(): (string | null)[] {
    const { values, allow_no_value } = this.given;
    if (values.length > 0) return [...new Set(values)];
    return allow_no_value ? [null] : [];
  }

  private addSection(name: string): string {
    const { option, section_has_values: required = [] } = this.given;
    if (this.lines.length === 0) this.lines.push(this.ending);
    this.lines.push(`[${name}]${this.ending}`);
    const add = (key: string, value: string | null): void => {
      this.lines.push(`${this.assignment(key, value)}${this.ending}`);
    };
    for (const wanted of required) {
      const values = wantedValues(wanted);
      for (const value of values.length === 0 ? [null] : values) add(wanted.option, value);
    }
    if (option !== undefined) {
      const given = required.filter((wanted) => wanted.option === option).flatMap(wantedValues);
      for (const value of this.wanted()) if (value === null || !given.includes(value)) add(option, value);
    }
    return option === undefined && required.length === 0 ? "only section added" : "section and option added";
  }

  private removeSection({ start, end }: Section): string {
    this.lines.splice(start - 1, end - start + 1);
    return "section removed";
  }

  private removeOption(section: Section, option: string): string {
    const wanted = this.wanted();
    const gone = this.optionLines(section, option).filter(
      ({ active, value }) => active && (this.given.exclusive || wanted.includes(value)),
    );
    for (const { index } of gone.toReversed()) this.lines.splice(index, 1);
    return gone.length === 0 ? "OK" : "option changed";
  }

  private putOption(section: Section, option: string): string {
    const { exclusive, modify_inactive_option } = this.given;
    const rest = this.optionLines(section, option).filter(({ active }) => active || modify_inactive_option);
    const missing = new Set(this.wanted());
    let message = "OK";
    const put = (line: OptionLine, value: string | null): void => {
      if (this.replace(line, option, value)) message = "option changed";
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
    const added = [...missing].map((value) => `${this.assignment(option, value)}${this.ending}`);
    if (added.length > 0) message = "option added";
    this.lines.splice(this.lastOption(section), 0, ...added);
    if (exclusive) {
      const extra = rest.filter(({ active }) => active);
      if (extra.length > 0 && message === "OK") message = "option changed";
      // Lines are only added behind these.
      for (const { index } of extra.toReversed()) this.lines.splice(index, 1);
    }
    return message;
  }

  /** Write a line of the option; false when it is as wanted. */
  private replace(
    { index, active, value: current }: OptionLine,
    option: string,
    value: string | null,
  ): boolean {
    const line = this.lines[index]!;
    if (this.given.ignore_spaces && active && current === value) return false;
    const wanted = `${this.assignment(option, value)}${lineEnding(line) || this.ending}`;
    if (line === wanted) return false;
    this.lines[index] = wanted;
    return true;
  }

  /** Return the place behind the last line of a section that is neither blank nor a comment. */
  private lastOption({ start, end }: Section): number {
    for (let index = end; index > start; index--)
      if (!BLANK_OR_COMMENT.test(lineText(this.lines[index - 1]!))) return index;
    return start;
  }
}
