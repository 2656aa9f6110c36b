import { VolleyError } from "../../core/errors.ts";

/** A setting of an ini file. */
export interface IniValue {
  readonly value: string;
  readonly line: number;
}

/** The settings of an ini file, by `section.key`; keys are in lower case. */
export type IniFile = ReadonlyMap<string, IniValue>;

/**
 * Read an ini file as Python's configparser does for Ansible: `key = value` or `key: value` in sections; `#` and `;`
 * begin a line that is a comment, ` ;` begins one behind a value, and a line that is indented goes on with the value
 * before it. Fails with `USAGE` and the line.
 */
export function readIni(file: string, text: string): IniFile {
  const settings = new Map<string, { value: string; readonly line: number }>();
  const refuse = (problem: string, line: number): never => {
    throw new VolleyError("USAGE", problem, { location: { file, line } });
  };
  let section: string | undefined;
  let last: { value: string; readonly line: number } | undefined;
  for (const [index, written] of text.split(/\r?\n/).entries()) {
    const line = index + 1;
    const bare = written.replace(/^\s*[#;].*|\s;.*/, "").trimEnd();
    if (bare.trim() === "") continue;
    if (/^\s/.test(bare) && last !== undefined) {
      last.value += `\n${bare.trim()}`;
      continue;
    }
    const [, head] = /^\s*\[([^\]]+)\]/.exec(bare) ?? [];
    if (head !== undefined) {
      section = head;
      last = undefined;
      continue;
    }
    if (section === undefined) return refuse("there is no [section] above this line", line);
    const [, key, value] = /^\s*(.*?)\s*[=:]\s*(.*)$/.exec(bare) ?? [];
    if (key === undefined || key === "") return refuse("a line must be key = value", line);
    const name = `${section}.${key.toLowerCase()}`;
    if (settings.has(name)) return refuse(`[${section}] ${key} is set twice`, line);
    last = { value: value!, line };
    settings.set(name, last);
  }
  return settings;
}
