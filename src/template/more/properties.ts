import { fail } from "../errors.ts";

/** The values of a section by name, null for a name that stands alone. */
type Values = ReadonlyMap<string, string | null>;

/** The sections of an INI file, by name; a file of properties is one section without a name. */
type Sections = ReadonlyMap<string, Values>;

/** How a file is read. */
interface PropertiesOptions {
  /** The file's name, for errors. */
  readonly file: string;
  /** Names may stand alone, without a value. */
  readonly allowsNoValue: boolean;
  /** Names of values keep their case. */
  readonly exact: boolean;
  /** The file has no sections. */
  readonly isProperties: boolean;
}

/** Read an INI file, or a file of properties, as Python's configparser does. */
export function readProperties(
  text: string,
  { file, allowsNoValue, exact, isProperties }: PropertiesOptions,
): Sections {
  const sections = new Map<string, Map<string, string | null>>();
  const open = (name: string, line: number): Map<string, string | null> => {
    if (sections.has(name)) fail(`Duplicate section in '${file}': '${name}' is there already, line ${line}`);
    const section = new Map<string, string | null>();
    sections.set(name, section);
    return section;
  };
  let section = isProperties ? open("", 0) : undefined;
  let last: string | undefined;
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (/^\s*(?:[#;].*)?$/.test(line)) continue;
    if (/^\s/.test(line) && section !== undefined && last !== undefined) {
      section.set(last, `${section.get(last) ?? ""}\n${line.trim()}`);
      continue;
    }
    const [, name] = isProperties ? [] : (/^\s*\[([^\]]+)\]/.exec(line) ?? []);
    if (name !== undefined) {
      section = open(name, index + 1);
      last = undefined;
      continue;
    }
    const [, key = "", value] = /^\s*(.*?)\s*(?:[=:]\s*(.*))?$/.exec(line) ?? [];
    if (section === undefined)
      return fail(`the INI file has a value before its first section, in line ${index + 1}`);
    last = exact || isProperties ? key : key.toLowerCase();
    if (section.has(last))
      fail(`Duplicate option in '${file}': '${last}' is there already, line ${index + 1}`);
    if (value === undefined && !allowsNoValue)
      fail(`Source contains parsing errors: '${file}', line ${index + 1}: ${line.trim()}`);
    section.set(last, value?.trim() ?? null);
  }
  return sections;
}

/** Return the values of a section, over those of the section DEFAULT, with `%(name)s` filled; undefined for no such section. */
export function sectionOf(sections: Sections, name: string): Values | undefined {
  const own = sections.get(name);
  if (own === undefined) return undefined;
  const values = new Map([...(sections.get("DEFAULT") ?? []), ...own]);
  if (name === "") return values;
  const fill = (value: string, depth: number): string =>
    value.replace(/%(?:%|\((\w+)\)s)/g, (_, key?: string) => {
      if (key === undefined) return "%";
      const found = values.get(key.toLowerCase());
      if (typeof found !== "string" || depth > 10)
        return fail(`the INI file has no value '${key}' to fill in`);
      return fill(found, depth + 1);
    });
  return new Map([...values].map(([key, value]) => [key, value === null ? null : fill(value, 0)]));
}
