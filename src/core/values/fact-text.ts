import { parseJson } from "./value.ts";

/** Read the text of a file of local facts: JSON, else sections of options as Python's configparser reads them. Throws for other text. */
export function parseFact(text: string): unknown {
  try {
    return parseJson(text);
  } catch {
    return parseSections(text);
  }
}

type Sections = Record<string, Record<string, string>>;

/** Read an INI text. Names of options are in lower case, options of `[DEFAULT]` are in every section, indented lines go on with a value. */
function parseSections(text: string): Sections {
  const sections: Sections = {};
  const defaults: Record<string, string> = {};
  let section: Record<string, string> | undefined;
  let last: string | undefined;
  for (const raw of text.split(/\r?\n/)) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#") || line.startsWith(";")) continue;
    if (last !== undefined && section !== undefined && /^\s/.test(raw)) {
      section[last] += `\n${line}`;
      continue;
    }
    const header = /^\[(.+)\]$/.exec(line)?.[1];
    if (header !== undefined) {
      if (header !== "DEFAULT") sections[header] ??= {};
      section = header === "DEFAULT" ? defaults : sections[header];
      last = undefined;
      continue;
    }
    const [, key, value = ""] = /^([^=:]+?)\s*[=:]\s*(.*)$/.exec(line) ?? [];
    if (section === undefined || key === undefined)
      throw new Error(`neither JSON nor INI at "${line.slice(0, 40)}"`);
    last = key.toLowerCase();
    section[last] = value;
  }
  return Object.fromEntries(
    Object.entries(sections).map(([name, options]) => [name, withReferences({ ...defaults, ...options })]),
  );
}

/** Replace `%(option)s` by the section's option, and `%%` by a percent sign. */
function withReferences(options: Readonly<Record<string, string>>): Record<string, string> {
  const replace = (value: string, depth: number): string =>
    value.replace(/%(?:%|\(([^)]*)\)s)?/g, (found, name: string | undefined) => {
      if (found === "%%") return "%";
      const wanted = name === undefined ? undefined : options[name.toLowerCase()];
      if (wanted === undefined || depth === 0) throw new Error(`"${found}" stands for nothing`);
      return replace(wanted, depth - 1);
    });
  return Object.fromEntries(Object.entries(options).map(([name, value]) => [name, replace(value, 10)]));
}
